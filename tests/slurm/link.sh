# The link of rank 0's node is cut, and of another: the ranks that are cut off end themselves, the job goes on elsewhere, and what
# is left of the old life can write no more, also where nothing ends it.
. "$ROOT/tests/slurm/tools.inc"
again() { grep -q '"restart": 1' "$1/run.jsonl"; }
# Lives follow each other in the log and never mix.
in_order() { column restart "$1" | awk '$2 < last { exit 1 } { last = $2 }' || fail "$1: an older life wrote after a newer one"; }
lose() {                                        # RUN N: the N-th node of $job is cut off
    at_step 12 "$1"
    node=$(node_of "$2")
    cluster link "$node" cut
    since=$SECONDS
}
back() {                                        # RUN: another life runs
    now=$1
    until_true 120 again "$1"
    echo "$1: n$node cut off, running again after $((SECONDS - since)) s"
}
over_and_right() { finished COMPLETED "$1"; whole "$1"; in_order "$1"; }

for n in 1 2; do
    submit cut$n --nodes=1-2 -- --set watch.timeout=5
    jobs[n]=$job
done
for n in 1 2; do
    job=${jobs[n]}
    lose cut$n $n
    lost[n]=$node
done
for n in 1 2; do node=${lost[n]} job=${jobs[n]} && back cut$n; done
for n in 1 2; do job=${jobs[n]} && over_and_right cut$n && cluster link "${lost[n]}" heal; done

# No watchdog: the old life wakes up when the link is back.
submit fenced --nodes=2-4 -- --set watch.timeout=-1
lose fenced 1
back fenced
cluster link "$node" heal
over_and_right fenced
