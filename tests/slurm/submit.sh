# asvr submit hands a job over, asvr status tells how it goes, from files and from Slurm; chains go one after the other.
. "$ROOT/tests/slurm/tools.inc"
export ASVR_FAULT=$slow
slurm "$ASVR" submit "$config" "${small[@]}" --set run.dir=run --set slurm.nodes=2-3 --set slurm.ranks_per_node=1 --set slurm.threads=1 \
    --set slurm.time=00:10:00 --set slurm.name=mine >out
job=$(sed -n 's/^submitted: job \([0-9]*\) .*/\1/p' out)
[ -n "$job" ] || { cat out; fail 'no job id'; }
[ "$(field "$job" JobName)" = mine ] || fail "the job is called $(field "$job" JobName)"
now=none
until_true 60 logged 8 run
slurm "$ASVR" status run >status
grep -Eq "^job +$job: RUNNING on n" status && grep -q ' of 40 ' status || { cat status; fail 'status does not tell how it goes'; }
finished COMPLETED none
whole run
slurm "$ASVR" status run >status
grep -q 'step 40 of 40 ' status && grep -q '^state  *done' status || { cat status; fail 'status does not tell that it is done'; }

# What sbatch says is told, and the script is kept.
got=0
slurm "$ASVR" submit "$config" "${small[@]}" --set run.dir=refused --set slurm.partition=nowhere >out 2>err || got=$?
[ $got = 78 ] && grep -q 'sbatch did not take the job' err && grep -q 'invalid partition' err && [ -f refused/submit/asvr-train-refused-1.sbatch ] ||
    { cat out err; fail "exit $got of a job that Slurm refuses"; }

export ASVR_FAULT=
slurm "$ASVR" submit "$config" "${small[@]}" --set run.dir=chain --set slurm.chain=2 --set slurm.ranks_per_node=1 --set slurm.name=chain >out
set -- $(sed -n 's/^submitted: job \([0-9]*\) .*/\1/p' out)
[ $# = 2 ] || { cat out; fail 'not two jobs'; }
[ "$(ls chain/submit/*.sbatch)" = chain/submit/chain-1.sbatch ] || { ls chain/submit; fail 'not one script for both'; }
for job; do finished COMPLETED none; done
whole chain
