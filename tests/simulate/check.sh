#!/bin/bash
# tests/simulate/check.sh BUILD: does the simulation simulate this program, and does SimGrid cost what it should?  Some seconds; needs
# BUILD/simulate (make simulator), ends with 1 where something differs.
#   counts      calls and bytes of each axis in a simulated step = those that plan_places says (which tests/launch/plan.sh compares with bench)
#   sum         a ring's allreduce = 2 (n-1) (alpha + bytes / n / beta), 2 to 16 ranks
#   exchange    a bucket = 2 (2 (n-1) overhead + alpha + (n-1)/n bytes / beta)
#   bundle      an exchange as one transfer a rank = each message by itself; and on a fat tree with static routes = behind links alone
set -u
cd "$(dirname "$0")/../.." || exit
build=$1
[ -x "$build/simulate/simulate" ] || { echo "check: there is no $build/simulate: make test-simulate" >&2; exit 1; }
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
failed=0
fail() { echo "check: $*"; failed=1; }
export CONFIG=configs/tiny.cfg CLUSTER=$tmp/machine.cfg SMPI=
cat >"$CLUSTER" <<'MACHINE'
cluster: { name = "round numbers"; cores = 2; sockets = 1; gflops = 10.0; memory = 100000.0; ram = 16.0; alpha = 2.0; beta = 10.0;
           alpha_in = 1.0; beta_in = 5.0; overhead = 1.0; storage = 1.0; mtbf = 1000.0; };
MACHINE
run() { tests/simulate/run.sh "$build" "$@" || fail "run.sh $*"; }
# near WHAT GOT WANTED PER_MILLE
near() { awk -v g="$2" -v w="$3" -v p="$4" 'BEGIN { d = g - w; exit !(g > 0 && d * d <= p * p * w * w / 1e6) }' || fail "$1: $2 s, not $3"; }

# counts NODES EACH TP ZERO LEAVES MORE
counts() {
    run "$1" "$2" "${7-0}" "parallel.tp=$3 parallel.zero=$4 train.micro_batch=2 train.global_batch=$((2 * $5 * $1 * $2 / $3)) $6" step >"$tmp/line"
    awk -v dp=$(($1 * $2 / $3)) '{
        for (i = 1; i < NF; i += 2) v[$i] = $(i + 1)
        for (a = 1; a <= 3; a++) {
            if (v["bytes" a] != v["plan_bytes" a]) { print "axis " a ": " v["bytes" a] " bytes, planned " v["plan_bytes" a]; bad = 1 }
            if (a != 2 && v["calls" a] != v["plan_calls" a]) { print "axis " a ": " v["calls" a] " calls, planned " v["plan_calls" a]; bad = 1 }
        }
        if (!(v["step"] > 0) || (dp > 1) != (v["bytes2"] > 0)) { print "no step: " $0; bad = 1 }
        seen = 1
    }
    END { exit bad || !seen }' "$tmp/line" || fail "counts of $*"
}
counts 1 1 1 0 2 ''
counts 1 2 2 0 1 ''
counts 1 2 2 0 1 parallel.sequence=true
counts 2 1 1 0 2 ''
counts 3 1 1 1 3 ''
counts 2 2 2 0 1 ''
counts 4 2 2 1 2 ''
counts 4 2 1 0 1 train.stage=pretrain
counts 4 2 2 0 1 parallel.reduction=fast
counts 4 2 1 2 2 parallel.reduction=exact
counts 4 2 2 1 2 '' 1

small='parallel.tp=1 train.micro_batch=1'
for n in 2 4 8 16; do
    got=$(SMPI='--cfg=smpi/allreduce:lr' run "$n" 1 0 "$small train.global_batch=$n" sum 1048576 | awk '{ print $2 }')
    near "sum of 4 MiB over $n ranks" "$got" "$(awk -v n=$n 'BEGIN { print 2 * (n - 1) * (2e-6 + 4194304 / n / 1e10) }')" 2
    got=$(run "$n" 1 0 "$small train.global_batch=$n" exchange 1 | awk '{ print $2 }')
    near "a bucket among $n ranks" "$got" "$(awk -v n=$n 'BEGIN { print 2 * (2 * (n - 1) * 1e-6 + 2e-6 + (n - 1) / n * 2097152 / 1e10) }')" 5
done

for each in 1 2; do
    got=$(run 8 $each 1 "$small train.global_batch=$((8 * each))" exchange 8 | awk '{ print $2 }')
    near "bundled among 8 nodes of $each" "$got" "$(run 8 $each 0 "$small train.global_batch=$((8 * each))" exchange 8 | awk '{ print $2 }')" 10
    got=$(TREE='2;4,2;1,4;1,1' run 8 $each 0 "$small train.global_batch=$((8 * each))" exchange 8 | awk '{ print $2 }')
    # Of two replicas a node those of equal number exchange (levels): fewer pairs share static routes less evenly.
    near "on a fat tree of 8 nodes of $each" "$got" "$(run 8 $each 0 "$small train.global_batch=$((8 * each))" exchange 8 | awk '{ print $2 }')" $((20 * each))
done
echo "$((1 - failed)) passed, $failed failed"
exit $failed
