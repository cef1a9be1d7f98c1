# A requeued job starts on what there is: nodes are drained, the rest goes on; ranks that do not divide the batch stay out, and it says so.
. "$ROOT/tests/slurm/tools.inc"
drain() { slurm scontrol update nodename="$1" state=drain reason=test; }
resume() { slurm scontrol update nodename="$1" state=resume; }
export ASVR_RANKS_PER_NODE=2
submit run --nodes=2-3 -- --set train.micro_batch=2
at_step 8 run
drain n1
drain n4
slurm scancel --signal=USR1 "$job"
finished COMPLETED run
resume n1
resume n4
restarts 1 run
tells run 'ranks 4: 4 replicas of 1, 2 of 6 left idle' 'left idle: 1 of 3 nodes'
column world run | awk '$2 != 4 { exit 1 }' || fail "not on 4 ranks"
no_step_twice run
