# A slowed link and a stopped rank are named, with rank, host and collective: on the terminal, in run.jsonl, by asvr status.
. "$ROOT/tests/slurm/tools.inc"
for which in 3 1; do
    run=link$which
    submit $run -N 4 -- --set train.steps=400             # however long it takes: it is cancelled
    at_step 4 $run
    node=$(node_of $which) host=n$node
    cluster link "$node" slow 8mbit
    since=$SECONDS
    named() { grep -q '"straggler": {"rank": '$((which - 1))', "host": "'"$host"'", "seconds": [0-9.e-]*, "collective": "' $run/run.jsonl; }
    now=$run
    until_true 120 named
    echo "$run: the link of n$node is named after $((SECONDS - since)) s"
    tells $run "the link of rank $((which - 1)) on node $host is slow"
    ! head -n 4 $run/run.jsonl | grep -q '"straggler": {"rank": '$((which - 1)), || fail "$run: named before it was slow"
    "$ASVR" status $run >status
    grep -q "rank $((which - 1)).*$host" status || { cat status; fail "status does not name the slow link"; }
    cluster link "$node" heal
    slurm scancel "$job"
    finished CANCELLED $run
done

submit stop -N 4 -- --set watch.timeout=15                # a busy machine's start or save is no hang
at_step 12 stop
node=$(node_of 3) host=n$node
cluster node "$node" kill -STOP "$(rank_on "$node")"
finished COMPLETED stop
restarts 1 stop
tells stop "rank 2 on node $host has not entered" 'ended with 80 (hang)' 'back into the queue'
whole stop
"$ASVR" status stop >status
grep -q "rank 2 on node $host has not entered" status || { cat status; fail "status does not name the rank that was stopped"; }
