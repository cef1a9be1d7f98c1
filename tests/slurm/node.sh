# A node dies in a step and in a checkpoint, the first one of the job and another: back on the remaining nodes within a minute and a half
# (9 s until Slurm gives a node up, then as long as it keeps the job waiting), and the bits are right.
. "$ROOT/tests/slurm/tools.inc"
# Two jobs lose a node each: the one its first, the other its last.
dies() {                                        # KIND AT-STEP
    local from=$SECONDS n node
    for n in 1 2; do
        submit $1$n --nodes=1-2
        jobs[n]=$job
    done
    for n in 1 2; do
        job=${jobs[n]} now=$1$n
        at_step "$2" $1$n
        [ $1 = step ] || until_true 10 saving $1$n
        node=$(node_of $n)
        cluster node-down "$node"
        lost[n]=$node since[n]=$SECONDS
    done
    for n in 1 2; do
        job=${jobs[n]} now=$1$n
        until_true 90 again $1$n
        echo "$1$n: n${lost[n]} lost, running again after $((SECONDS - since[n])) s"
    done
    for n in 1 2; do
        job=${jobs[n]}
        finished COMPLETED $1$n
        whole $1$n
        cluster node-up "${lost[n]}"
    done
}
again() { grep -q '"restart": 1' "$1/run.jsonl"; }
saving() { ls -d "$1"/ckpt/.tmp-*/tensors.h5 >/dev/null 2>&1; }
dies step 12
fault='*:1+:data:slow:0.25,*:1+:hash:slow:2'
dies save 16
