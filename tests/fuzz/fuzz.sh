#!/bin/bash
# tests/fuzz/fuzz.sh SECONDS [NAME]...: each target (or those whose name contains a NAME) with libFuzzer, ASan and UBSan, one after
# the other.  New inputs go to build/fuzz/corpus/NAME; what a target dies of is kept as tests/fuzz/corpus/NAME/found-..., to be
# committed with what mends it.  One line a target; ends with 1 where there was a finding.
set -u
cd "$(dirname "$0")/../.." || exit 1
seconds=${1:-600}
shift $(($# > 0))
if ! echo 'int LLVMFuzzerTestOneInput(const char *p, long n) { (void)p; return n < 0; }' |
        clang -x c -fsanitize=fuzzer,address - -o /dev/null 2>/dev/null; then
    echo "make fuzz: needs clang with libFuzzer (Debian, Ubuntu: apt install clang libclang-rt-14-dev)" >&2
    exit 1
fi
mkdir -p build
nice make --no-print-directory -j2 VARIANT=fuzz CC=clang CXX=clang++ fuzz-programs >build/fuzz.log 2>&1 ||
    { cat build/fuzz.log; exit 1; }
export ASVR_MODULES=$PWD/build/fuzz OMP_NUM_THREADS=1 ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1
failed=0
for source in tests/fuzz/fuzz_*.c; do
    name=${source#tests/fuzz/fuzz_} name=${name%.c}
    [ $# = 0 ] || [[ " $* " == *" $name "* ]] || continue
    new=build/fuzz/corpus/$name log=build/fuzz/$name.log
    mkdir -p "$new"
    nice build/fuzz/tests/fuzz/fuzz_$name -max_total_time="$seconds" -timeout=60 -rss_limit_mb=4096 -max_len=65536 \
        -print_final_stats=1 -artifact_prefix=tests/fuzz/corpus/$name/found- "$new" tests/fuzz/corpus/$name >"$log" 2>&1
    rc=$?
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    cover=$(sed -n 's/.* cov: \([0-9]*\) ft:.*/\1/p' "$log" | tail -n 1)
    if [ $rc = 0 ]; then
        echo "ok    fuzz_$name: ${runs:-?} runs in $seconds s, ${cover:-?} edges, no finding"
    else
        echo "FOUND fuzz_$name: after ${runs:-?} runs, $log"
        tail -n 30 "$log" | sed 's/^/      | /'
        failed=1
    fi
done
exit $failed
