# Twenty faults (FAULTS), each kind as often, in an order that is drawn (SEED), in one run: the weights are those of the undisturbed
# run, and the time that counted is told.
. "$ROOT/tests/slurm/tools.inc"
RANDOM=${SEED:-11}
fault='*:1+:data:slow:1'
# The life that is on has got somewhere.
running() {
    logged 1 run && [ "$(tail -n 1 run/run.jsonl | cut -c1-60)" != "$last" ] && [ "$(state "$job")" = RUNNING ]
}
nodes() { slurm scontrol show hostnames "$(field "$job" NodeList)" | sed -n 's/^n\([0-9]*\)$/\1/p'; }
draw() {                                        # one word of $1; not in a subshell, which would draw the same again
    set -- $1
    [ $# = 0 ] || shift $((RANDOM % $#))
    drawn=${1-}
}
ranks_of() { for i in 1 2 3 4; do cluster node $i pgrep -f '^[^ ]*asvr train' 2>/dev/null | sed "s/^/$i /"; done; }
export ASVR_BUDGET=100
submit run --nodes=2-4 -- --set ckpt.every=2 --set watch.timeout=5
count=0 last= left= now=run
strike() {                                      # KIND NODE
    case $1 in
    usr1 | term) slurm scancel --signal=${1^^} "$job" ;;
    kill | stop) draw "$(ranks_of | sed 's/ /:/')"; [ -n "$drawn" ] && cluster node "${drawn%:*}" kill -${1^^} "${drawn#*:}" ;;
    node) cluster node-down "$2"; sleep 3; cluster node-up "$2" ;;
    cut) cluster link "$2" cut; sleep 8; cluster link "$2" heal ;;
    slow) cluster link "$2" slow 4mbit; sleep 3; cluster link "$2" heal ;;
    preempt) higher ;;
    requeue) slurm scontrol requeue "$job" ;;
    esac
}
while [ $count -lt "${FAULTS:-20}" ]; do
    until_true 150 running
    sleep 0.$((RANDOM % 10))
    draw "$(nodes)"
    node=$drawn
    [ -n "$node" ] || continue                  # it has just ended
    [ -n "$left" ] || left='usr1 term kill kill stop node cut slow preempt requeue'
    draw "$left"
    what=$drawn
    left=$(echo $left | sed "s/\b$what\b *//; s/ *$//")
    last=$(tail -n 1 run/run.jsonl | cut -c1-60)
    ! strike $what "$node" || count=$((count + 1))
    echo "fault $count: $what after ${last%,*}"
done
finished COMPLETED run 400
whole run
"$ASVR" status run
