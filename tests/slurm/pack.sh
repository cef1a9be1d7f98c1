# pack under Slurm: preempted and put back, it goes on with what is there, and the data set is the one that was never stopped.
. "$ROOT/tests/slurm/tools.inc"
script=$ROOT/slurm/pack.sbatch
export ASVR_RANKS_PER_NODE=2
much=(--set data.samples=1000 --set data.shard_samples=64)
fault='*:1+:data:slow:0.03'                     # a sample
submit whole -N 2 -- "${much[@]}" --set data.set=whole/index.set --set text.model=whole.model
finished COMPLETED whole
submit again -N 2 -p now -- "${much[@]}" --set data.set=again/index.set --set text.model=again.model
shards() { [ "$(ls again/*.h5 again/.*/*.h5 2>/dev/null | wc -l)" -ge "$1" ]; }
now=again
until_true 60 shards 3
higher
finished COMPLETED again
restarts 1 again
[ "$(ls whole/*.h5 | xargs -n1 basename)" = "$(ls again/*.h5 | xargs -n1 basename)" ] || fail "other shards"
for f in whole/*.h5; do cmp "$f" "again/${f##*/}"; done

# Submitted where the configuration is not.
mkdir elsewhere
(cd elsewhere && now=lost && job=$(slurm sbatch --parsable -o ../lost.log "$ROOT/slurm/train.sbatch" configs/nowhere.cfg) && finished FAILED lost)
tells lost 'there is no configuration "configs/nowhere.cfg" in'
