# The link of rank 0's node is cut, and of another: the ranks that are cut off end themselves, the job goes on elsewhere, and what
# is left of the old life can write no more, also where nothing ends it.
. "$ROOT/tests/slurm/tools.inc"
again() { grep -q '"restart": 1' "$1/run.jsonl"; }
# Lives follow each other in the log and never mix.
in_order() { column restart "$1" | awk '$2 < last { exit 1 } { last = $2 }' || fail "$1: an older life wrote after a newer one"; }
severed() {                                         # RUN WHICH-NODE HEAL?
    local from=$SECONDS node
    node=$(node_of "$2")
    cluster link "$node" cut
    now=$1
    until_true 120 again "$1"
    echo "$1: n$node cut off, running again after $((SECONDS - from)) s"
    [ "$3" = no ] || cluster link "$node" heal
    finished COMPLETED "$1"
    whole "$1"
    in_order "$1"
    cluster link "$node" heal
}
for n in 1 2; do
    submit cut$n --nodes=2-4 -- --set watch.timeout=5
    at_step 12 cut$n
    severed cut$n $n no
done
# No watchdog: the old life wakes up when the link is back.
submit fenced --nodes=2-4 -- --set watch.timeout=-1
at_step 12 fenced
severed fenced 1 heal
