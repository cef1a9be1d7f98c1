#!/bin/bash
# tests/faults/faults.sh BUILD quick|full [ROW]...: the scorecard: each row's faults, in a debug build (core/fault.h) and by
# tests/faults/preload.c; prints  row | fault | trials | passed | note  and ends with 0 if all passed.
# SEED=N draws the same again.  After TERM or INT the trial under way is finished and the table ends there.  The words of trials that failed stay in LOGS (BUILD/faults).
set -u
cd "$(dirname "$0")/../.." || exit 1
[ -x "${1:-}/asvr" ] || { echo "tests/faults/faults.sh BUILD quick|full [ROW]..." >&2; exit 64; }
build=$(cd "$1" && pwd) mode=${2:-quick} root=$PWD
shift $(($# < 2 ? $# : 2))
rows=("$@")
seed=${SEED:-$(date +%s)}
tools=$build/tests/faults logs=${LOGS:-$build/faults}
export ASVR=$build/asvr config=$root/configs/tiny.cfg ASVR_MODULES=$build

export OMP_NUM_THREADS=1 OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_mpi_yield_when_idle=1 OMPI_MCA_hwloc_base_binding_policy=none
export OMPI_MCA_btl_vader_single_copy_mechanism=none OMPI_MCA_odls_base_sigkill_timeout=0
export OMPI_MCA_ess_singleton_isolated=1       # a process without a launcher needs no daemon either

work=$(mktemp -d) base=$work/base
rm -rf "$logs" && mkdir -p "$logs"
trap 'rm -rf "$work"' EXIT
row= serial=0 all_trials=0 all_passed=0 failed_names= table=$logs/table
. tests/faults/oracles.inc
for f in tests/faults/rows/*.sh; do . "$f"; done

prepare() {
    mkdir "$base" && cd "$base" || exit 1
    says 0 0 pack "$config" "${small[@]}"
    says 0 1 train "$config" "${small[@]}" --set run.dir=whole --set ckpt.keep=99
    cd "$root" || exit 1
}
( prepare ) || exit 1
# NOTE: minutes that passed, and those of the processors (of a thread that waits for another, too)
total() {
    builtin times >"$work/times"                # `times` is a function of ours
    local cpu=$(tail -n 1 "$work/times" | awk '{ for (i = 1; i <= 2; i++) { split($i, t, "[ms]"); s += 60 * t[1] + t[2] } printf "%.1f", s / 60 }')
    printf '    | %-46s | %6d | %6d | %d minutes, %s of processors; %s\n' all "$all_trials" "$all_passed" $(((SECONDS + 59) / 60)) "$cpu" "$1" | tee -a "$table"
}
trap 'at=$row; remark "stopped here"; row_close; total "$(date +%F), stopped in row $at"; exit 143' TERM INT
echo "asvr's scorecard, $mode, SEED=$seed"
printf 'row | %-46s | trials | passed | note\n' fault | tee "$table"
for n in $(seq 31); do
    [ ${#rows[@]} -eq 0 ] || case " ${rows[*]} " in *" $n "*) ;; *) continue ;; esac
    "row_$n"
    row_close
done
total "$(date +%F)"
[ "$all_trials" = "$all_passed" ] && [ "$all_trials" -gt 0 ]
