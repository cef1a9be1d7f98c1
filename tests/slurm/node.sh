# A node dies in a step and in a checkpoint, the first one of the job and another: back on the remaining nodes within a minute and a half
# (9 s until Slurm gives a node up, then as long as it keeps the job waiting), and the bits are right.
. "$ROOT/tests/slurm/tools.inc"
dies() {                                        # RUN WHICH-NODE: of the job's, 1 is where rank 0 is
    local from=$SECONDS node
    node=$(node_of "$2")
    cluster node-down "$node"
    now=$1
    until_true 90 again "$1"
    echo "$1: n$node lost, running again after $((SECONDS - from)) s"
    finished COMPLETED "$1"
    whole "$1"
    cluster node-up "$node"
}
again() { grep -q '"restart": 1' "$1/run.jsonl"; }
saving() { ls -d "$1"/ckpt/.tmp-*/tensors.h5 >/dev/null 2>&1; }
for n in 1 2; do
    submit step$n --nodes=2-4
    at_step 12 step$n
    dies step$n $n
done
fault='*:1+:data:slow:0.25,*:1+:hash:slow:2'
for n in 1 2; do
    submit save$n --nodes=2-4
    at_step 16 save$n
    until_true 10 saving save$n
    dies save$n $n
done
