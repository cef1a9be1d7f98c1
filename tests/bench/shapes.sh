#!/bin/bash
# shapes.sh -- does the rate hold for other shapes than bench/small's?  Ratios within one run, each a median of turns
#
#     tests/bench/shapes.sh [TURNS [THREADS]]          3 turns, 1 thread; one rank
#     ASVR=build/asvr  STEPS=4  ONLY="long widths micro mixed memory" for some of them
#
#     long      one picture of 729 rows and 1,300 tokens, width 512: of sgemm
#     memory    the tape of 729 rows and 325, 650, 1,300, 2,600 tokens, from `asvr plan`: what a token more takes
#     widths    256, 512, 1024: flops a second, beside width 512
#     micro     1, 2, 4, 8 micro-batches a step: time a micro-batch, beside one
#     mixed     samples of 16 to 512 rows beside as many of 264: rows a second
set -euo pipefail
cd "$(dirname "$0")/../.."
turns=${1:-3} threads=${2:-1}
asvr=${ASVR:-build/asvr} steps=${STEPS:-4}
only=${ONLY:-long memory widths micro mixed}
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

base=(configs/bench/small.cfg --set run.dir="$work/run" --set parallel.threads="$threads" --set bench.rates=false --set bench.steps="$steps" --set bench.warm=1)
# SigLIP-SO400M's 27 x 27 patches, beside a tower that costs little; heads of 64.
long=(--set model.vision.image=384 --set model.vision.patch=14 --set model.decoder.width=512 --set model.decoder.heads=8 --set model.decoder.kv_heads=8
      --set model.decoder.ffn=1376 --set model.decoder.max_len=2029 --set train.micro_batch=1 --set train.global_batch=1)

# measure NAME ARGS...: appends "GF/s of_sgemm samples/s MiB"
measure() {
    "$asvr" bench "${base[@]}" "${@:2}" >"$work/out" || { cat "$work/out" >&2; exit 1; }
    grep 'of sgemm' "$work/out" | tail -1 | sed -E 's|^([0-9.]+) samples/s +([0-9.]+) GF/s +([0-9.]+) of sgemm +([0-9]+) MiB|\2 \3 \1 \4|' >>"$work/$1"
}
# middle NAME COLUMN: its median
middle() { awk -v k="$2" '{ print $k }' "$work/$1" | sort -n | awk '{ v[NR] = $1 } END { print (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'; }
# beside A B: A / B
beside() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.3f", a / b }'; }
want() { case " $only " in *" $1 "*) ;; *) return 1 ;; esac; }

if want long; then
    for _ in $(seq "$turns"); do measure long "${long[@]}"; done
    echo "long     729 rows + 1,300 tokens, width 512: $(middle long 2) of sgemm, $(middle long 1) GF/s, $(middle long 4) MiB"
fi
if want memory; then
    before=0
    for text in 325 650 1300 2600; do
        tape=$("$asvr" plan "${base[@]}" "${long[@]}" --set model.decoder.max_len=$((729 + text)) |
            awk '$1 == "tape" { print $2 * ($3 == "GiB" ? 1048576 : 1024); exit }')
        echo "memory   729 rows + $text tokens: tape $((${tape%.*} / 1024)) MiB$([ $before = 0 ] || echo ", $(((${tape%.*} - before) / (text / 2))) KiB for each more")"
        before=${tape%.*}
    done
fi
if want widths; then
    for _ in $(seq "$turns"); do
        for w in 256 512 1024; do
            measure width-$w --set model.decoder.width=$w --set model.decoder.heads=$((w / 64)) --set model.decoder.kv_heads=$((w / 64)) --set model.decoder.ffn=$((w * 8 / 3))
        done
    done
    for w in 256 512 1024; do
        echo "widths   $w: $(middle width-$w 1) GF/s, $(middle width-$w 2) of sgemm, $(beside "$(middle width-$w 1)" "$(middle width-512 1)") of width 512's rate"
    done
fi
if want micro; then
    for _ in $(seq "$turns"); do for n in 1 2 4 8; do measure micro-$n --set train.global_batch=$((8 * n)); done; done
    for n in 1 2 4 8; do
        echo "micro    $n micro-batches: $(middle micro-$n 3) samples/s, time a micro-batch $(beside "$(middle micro-1 3)" "$(middle micro-$n 3)") of one alone"
    done
fi
if want mixed; then
    # 4 rows of picture, so that 16 rows hold one; 8 samples of 264 rows in the mean, both.
    short=(--set model.vision.image=32 --set train.global_batch=8)
    for _ in $(seq "$turns"); do
        measure mixed "${short[@]}" --set model.decoder.max_len=512 --set bench.min_len=16
        measure equal "${short[@]}" --set model.decoder.max_len=264
    done
    echo "mixed    16 to 512 rows: $(middle mixed 3) samples/s of 264 rows, of equal ones $(middle equal 3): $(beside "$(middle mixed 3)" "$(middle equal 3)") in rows a second"
fi
