# ASVR_SCRATCH: the node's own disk keeps steps between checkpoints; killed, the job goes on from there, on whatever nodes can read it.
. "$ROOT/tests/slurm/tools.inc"
ASVR_SCRATCH=/var/tmp submit run -N 1 -- --set ckpt.every=0 --set ckpt.local_minutes=0.005
at_step 14 run
node=$(node_of 1)
# The other nodes are taken, so that it starts where its steps are.
others=$(slurm sbatch --parsable -p high -N 3 --exclusive -o /dev/null --wrap 'sleep 60')
cluster node "$node" kill -9 "$(rank_on "$node")"
finished COMPLETED run
slurm scancel "$others"
restarts 1 run
whole run
last=$(grep -c . run/run.jsonl)
[ "$last" = 40 ] || fail "$last lines"
grep '"event": "resume"' run/lives.jsonl | tail -n 1 | grep -vq '"step": 0,' || { cat run/lives.jsonl; fail 'it began anew'; }
