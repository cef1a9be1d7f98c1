# Twenty faults (FAULTS), each kind as often, in an order that is drawn (SEED), in one run: the weights are those of the undisturbed
# run, and the time that counted is told.
. "$ROOT/tests/slurm/tools.inc"
RANDOM=${SEED:-11}
fault='*:1+:data:slow:1'
# The life that is on has got somewhere; a run that is over before its faults are is an error.
running() {
    ! over "$job" || fail "the run was over after $count faults"
    logged 1 run && [ "$(tail -n 1 run/run.jsonl | cut -c1-60)" != "$last" ] && [ "$(state "$job")" = RUNNING ]
}
nodes() { slurm scontrol show hostnames "$(field "$job" NodeList)" | sed 's/^n//'; }
draw() {                                        # one word of $1; not in a subshell, which would draw the same again
    set -- $1
    [ $# = 0 ] || shift $((RANDOM % $#))
    drawn=${1-}
}
ranks_of() { for i in 1 2 3 4; do cluster node $i pgrep -f '^[^ ]*asvr train' 2>/dev/null | sed "s/^/$i /"; done; }
export ASVR_BUDGET=100
submit run --nodes=2-4 -- --set ckpt.every=2 --set watch.timeout=5
count=0 last= left= now=run
while [ $count -lt "${FAULTS:-20}" ]; do
    until_true 150 running
    sleep 0.$((RANDOM % 10))
    count=$((count + 1))
    [ -n "$left" ] || left='usr1 term kill kill stop node cut slow preempt requeue'
    draw "$left"
    what=$drawn
    left=$(echo $left | sed "s/\b$what\b *//; s/ *$//")
    draw "$(nodes)"
    node=$drawn
    case $what in
    usr1 | term) slurm scancel --signal=${what^^} "$job" ;;
    kill | stop) draw "$(ranks_of | sed 's/ /:/')"; [ -z "$drawn" ] || cluster node "${drawn%:*}" kill -${what^^} "${drawn#*:}" ;;
    node) cluster node-down "$node"; sleep 3; cluster node-up "$node" ;;
    cut) cluster link "$node" cut; sleep 8; cluster link "$node" heal ;;
    slow) cluster link "$node" slow 4mbit; sleep 3; cluster link "$node" heal ;;
    preempt) higher ;;
    requeue) slurm scontrol requeue "$job" ;;
    esac
    last=$(tail -n 1 run/run.jsonl | cut -c1-60)
    echo "fault $count: $what after ${last%,*}"
done
finished COMPLETED run 400
whole run
"$ASVR" status run
