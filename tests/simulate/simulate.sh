#!/bin/bash
# tests/simulate/simulate.sh BUILD steps|curve
#   steps   a training step on 1 to 64 nodes, as SimGrid has it beside what `asvr plan` says
#   curve   the reduction of buckets among 2 to 256 nodes' replicas, in levels and all at once; OUT.svg is a picture of it
# From the environment: CONFIG CLUSTER NODES EACH (ranks a node) TP ZERO MICRO (samples a micro-batch) LEAVES (of a replica) JOBS OUT TOGETHER.
# The table goes to OUT.csv, too; OUT.log keeps each simulation's line.
#
# Every bucket of every layer is simulated.  The messages of an exchange travel as one, and in steps so do up to TOGETHER neighbouring
# buckets of a stage that start without time between them (simmpi.cc).
set -u
cd "$(dirname "$0")/../.." || exit
build=$1 what=$2
export CONFIG=${CONFIG-configs/llava15-7b/instruct.cfg} CLUSTER=${CLUSTER-configs/clusters/epyc-hdr.cfg} SMPI
EACH=${EACH-2} TP=${TP-2} ZERO=${ZERO-0} MICRO=${MICRO-1} LEAVES=${LEAVES-1} JOBS=${JOBS-$(nproc)} OUT=${OUT-$build/simulate/$what}
TOGETHER=${TOGETHER-16}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

batch() { echo $((MICRO * LEAVES * $1 * EACH / TP)); }

# simulate NAME NODES BUNDLE "KEY=VALUE ..." MODE...: beside JOBS - 1 others; its line goes to the file NAME
simulate() {
    local name=$1 nodes=$2 bundle=$3 more=$4
    shift 4
    while [ "$(jobs -rp | wc -l)" -ge "$JOBS" ]; do wait -n; done
    tests/simulate/run.sh "$build" "$nodes" "$EACH" "$bundle" "parallel.tp=$TP parallel.zero=$ZERO train.micro_batch=$MICRO \
        train.global_batch=$(batch "$nodes") train.optimizer=adamw $more" "$@" >"$work/$name" || touch "$work/failed" &
}
done_all() {
    wait
    [ ! -e "$work/failed" ] || { echo "simulate: a simulation failed" >&2; exit 1; }
    for f in "$work"/[0-9]*; do echo "${f##*/} $(cat "$f")"; done | sort -n >"$OUT.log"
}
# value NAME KEY: of a simulation's line
value() { awk -v k="$2" '{ for (i = 1; i < NF; i++) if ($i == k) { print $(i + 1); exit } }' "$work/$1"; }

steps() {
    local nodes=${NODES-1 2 4 8 16 32 64} n
    for n in $(printf '%s\n' $nodes | sort -rn); do
        simulate "$n" "$n" "$TOGETHER" '' step
    done
    for n in $nodes; do
        "$build/asvr" plan "$CONFIG" --set parallel.tp="$TP" --set parallel.zero="$ZERO" --set parallel.threads="$(threads)" \
            --set train.micro_batch="$MICRO" --set train.global_batch="$(batch "$n")" --set train.optimizer=adamw --set plan.grid=given \
            --set plan.cluster="$CLUSTER" --set plan.nodes="$n" --set plan.csv="$work/plan.$n" >"$work/plan.out" 2>&1 ||
            { cat "$work/plan.out" >&2; exit 1; }
    done
    done_all
    echo "$CONFIG on $CLUSTER: $EACH ranks a node, tp $TP, zero $ZERO, $MICRO x $LEAVES samples a replica"
    for n in $nodes; do
        echo "$n $(planned "$n") $(cat "$work/$n")"
    done | awk -f tests/simulate/steps.awk -v csv="$OUT.csv"
}
threads() { echo $(($(sed -n 's/.*\bcores *= *\([0-9]*\);.*/\1/p' "$CLUSTER" | head -1) / EACH)); }
planned() { awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i } NR == 2 { print "planned", $at["step"], "planned_dp", $at["dp_exposed"] }' "$work/plan.$1"; }

# The reduction of some buckets and of twice as many: what the second half adds is without the start.
curve() {
    local nodes=${NODES-2 4 8 16 32 64 128 256} n r k
    for n in $(printf '%s\n' $nodes | sort -rn); do
        k=$((n > 128 ? 2 : 8))
        for r in exchange at_once; do
            simulate "$n.$r.once" "$n" 1 '' $r $k
            simulate "$n.$r.twice" "$n" 1 '' $r $((2 * k))
        done
        [ "$n" -gt 32 ] || simulate "$n.each.2" "$n" 0 '' exchange 2
        [ "$n" -gt 32 ] || simulate "$n.bundle.2" "$n" 1 '' exchange 2
    done
    done_all
    for n in $nodes; do
        k=$((n > 128 ? 2 : 8))
        echo "$n $k $(way "$n.exchange") $(way "$n.at_once") $(value "$n.exchange.once" gradient)" \
             "$([ "$n" -gt 32 ] || echo "$(value "$n.each.2" exchange) $(value "$n.bundle.2" exchange)")"
    done | awk -f tests/simulate/curve.awk -v each="$EACH" -v tp="$TP" -v csv="$OUT.csv" -v svg="$OUT.svg"
}
way() { echo "$(value "$1.once" exchange) $(value "$1.twice" exchange) $(value "$1.once" messages) $(value "$1.once" bucket)"; }

case $what in
steps|curve) $what ;;
*) echo "usage: tests/simulate/simulate.sh BUILD steps|curve" >&2; exit 64 ;;
esac
