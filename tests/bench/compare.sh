#!/bin/bash
# compare.sh -- bench/small beside today's PyTorch: pairs in turn in one run
#
#     tests/bench/compare.sh [PAIRS [RANKS [THREADS]]]          7 pairs, 2 ranks of 1 thread
#     ASVR=build/asvr  STEPS=12  PEERS=build/peers (a Python with torch; `make peers`, or what this script installs: build/peers-torch)
#
# A pair is three runs one after the other: asvr bench, PyTorch eager, PyTorch compiled (peer_torch.py: the same parameters, DDP over gloo).
# Prints each pair, then medians with the least and the most, of samples/s, of the ratio to the better of PyTorch's two in the same pair, and of peak
# memory.  The machine should do nothing else; the load stands in each line.
set -euo pipefail
cd "$(dirname "$0")/../.."
pairs=${1:-7} ranks=${2:-2} threads=${3:-1}
asvr=${ASVR:-build/asvr} steps=${STEPS:-12}
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 TORCHINDUCTOR_CACHE_DIR=$PWD/build/peers-torch/inductor

# torch and what it loads, of the versions that `make peers` has: 4 GB.
if [ -z "${PEERS:-}" ]; then
    PEERS=build/peers
    if [ ! -e build/peers/stamp ]; then
        PEERS=build/peers-torch
        if [ ! -x $PEERS/bin/python ] || ! $PEERS/bin/python -c 'import torch' 2>/dev/null; then
            echo "compare: installing torch into $PEERS: 4 GB, minutes" >&2
            python3 -m venv --clear $PEERS
            grep -E '^(torch|numpy|filelock|fsspec|Jinja2|MarkupSafe|mpmath|networkx|sympy|typing_extensions|nvidia-[a-z0-9-]+)==' tests/peers/requirements.txt |
                $PEERS/bin/pip install --quiet --disable-pip-version-check --no-deps -r /dev/stdin
        fi
    fi
fi
python=$PEERS/bin/python
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# What both compute: parameters to the last one, flops of a micro-batch.
launch=()
[ "$ranks" = 1 ] || launch=(mpirun -n "$ranks")
ours() {
    "${launch[@]}" "$asvr" bench configs/bench/small.cfg --set run.dir= --set parallel.threads="$threads" --set train.global_batch=$((8 * ranks)) \
        --set bench.rates=false --set bench.steps="$steps" "$@"
}
peer() { "$python" tests/bench/peer_torch.py --ranks "$ranks" --threads "$threads" --steps "$steps" "$@" 2>"$work/err" || { cat "$work/err" >&2; exit 1; }; }
"$python" tests/bench/peer_torch.py --count 2>/dev/null >"$work/count"
"$asvr" plan configs/bench/small.cfg >"$work/plan"
read -r _ all _ learn _ gf <"$work/count"
own=$(awk '$1 == "together" { gsub(",", "", $2); print $2 }' "$work/plan") own_learn=$(awk '/that learn/ { gsub(",", "", $3); print $3 }' "$work/plan")
[ "$all $learn" = "$own $own_learn" ] || { echo "compare: $own parameters, $own_learn learn; PyTorch has $all and $learn" >&2; exit 1; }
echo "$all parameters, $learn learn, in both; $("$python" -c 'import torch; print("torch", torch.__version__)' 2>/dev/null); $ranks ranks of $threads threads"
echo "flops of 8 samples: asvr counts $(awk '/^  a step/ { print 8 * $3, $4 }' "$work/plan"), PyTorch $gf GF (attention without its mask)"

rate() { grep 'samples/s' "$1" | tail -1 | awk '{ print $1 }'; }
mib() { grep -oE '[0-9]+ MiB' "$1" | tail -1 | cut -d' ' -f1; }
peer --compile --warm 1 >/dev/null                       # the compiler's own time is nobody's
for i in $(seq "$pairs"); do
    ours >"$work/ours"
    peer >"$work/eager"
    peer --compile >"$work/compiled"
    read -r a b c <<<"$(rate "$work/ours") $(rate "$work/eager") $(rate "$work/compiled")"
    read -r x y z <<<"$(mib "$work/ours") $(mib "$work/eager") $(mib "$work/compiled")"
    sgemm=$(grep -oE '[0-9.]+ of sgemm' "$work/ours" | tail -1 | cut -d' ' -f1)
    read -r ratio memory <<<"$(awk -v a="$a" -v b="$b" -v c="$c" -v x="$x" -v y="$y" -v z="$z" 'BEGIN {
        printf "%.3f %.3f\n", a / (b > c ? b : c), x / (b > c ? y : z) }')"
    echo "pair $i: asvr $a samples/s ($sgemm of sgemm), eager $b, compiled $c, ratio $ratio; MiB $x, $y, $z, ratio $memory; load $(cut -d' ' -f1 /proc/loadavg)"
    echo "$a $sgemm $b $c $ratio $memory" >>"$work/pairs"
done
# median NAME COLUMN
median() {
    awk -v k="$2" '{ print $k }' "$work/pairs" | sort -n |
        awk -v name="$1" '{ v[NR] = $1 } END { printf "%-26s median %.3f, %.3f to %.3f\n", name, (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2, v[1], v[NR] }'
}
median "asvr, samples/s" 1
median "of sgemm" 2
median "PyTorch eager" 3
median "PyTorch compiled" 4
median "asvr / better of PyTorch" 5
median "memory, asvr / that one" 6
