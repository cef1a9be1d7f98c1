# The same bits on any layout of nodes, ranks and threads as on one host; the job is over when the work is.
. "$ROOT/tests/slurm/tools.inc"
fault=
unset OMP_NUM_THREADS
layout() {                                      # RUN NODES RANKS-A-NODE THREADS
    ASVR_RANKS_PER_NODE=$3 ASVR_THREADS=$4 submit "$1" -N "$2"
    finished COMPLETED "$1"
    restarts 0 "$1"
    whole "$1"
    column threads "$1" | awk -v want="$4" '$2 != want { exit 1 }' || fail "$1: run.jsonl does not say $4 threads"
    column world "$1" | awk -v want=$(($2 * $3)) '$2 != want { exit 1 }' || fail "$1: run.jsonl does not say $(($2 * $3)) ranks"
}
layout four 4 1 1
layout pairs 2 2 1
layout one 1 4 1
layout threads 2 1 2
