#!/bin/bash
# tests/run.sh [BUILD] [NAME]...: runs every test, or those whose name contains a NAME; BUILD is the folder of the
# build (default $OUT, else build/debug).  One line a case, the output of those that fail, and at the end the count.
#   core, io    cmocka programs, one process; io's parallel files also with 2 and 4 ranks
#   dist        cmocka programs with 1, 2, 3 and 4 ranks; one rank runs without a launcher
#   fuzz        fuzz targets, each with the files of its corpus and damaged copies of them (tests/fuzz/driver.c)
#   launch      shell scripts: $ASVR is the program, $TMP a folder of their own
set -u
cd "$(dirname "$0")/.." || exit 1

build=${OUT:-build/debug}
if [ $# -gt 0 ] && [ -d "$1" ]; then build=$1; shift; fi
build=$(cd "$build" && pwd) || { echo "tests/run.sh: there is no build in $build" >&2; exit 1; }
limit=${LIMIT:-300}                        # seconds a case may take

export OMP_NUM_THREADS=1 OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
# More ranks than cores: idle ranks give way, and nobody is tied to a core that another job holds.
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_mpi_yield_when_idle=1 OMPI_MCA_hwloc_base_binding_policy=none
# Containers forbid process_vm_readv; shared memory does without.
export OMPI_MCA_btl_vader_single_copy_mechanism=none
# Tests lie deeper than the module of the picture decoders, which is looked for beside the program.
export ASVR_MODULES=$build
# What MPI itself leaks is not ours to report.
export ASAN_OPTIONS=detect_leaks=0${ASAN_OPTIONS:+:$ASAN_OPTIONS}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0 names=("$@")

wanted() {
    [ ${#names[@]} -gt 0 ] || return 0
    for n in "${names[@]}"; do case $1 in *"$n"*) return 0 ;; esac; done
    return 1
}

# case_run NAME COMMAND...
case_run() {
    local name=$1 rc start=$EPOCHREALTIME
    shift
    wanted "$name" || return
    mkdir "$work/case"
    # timeout signals its whole group, and a second TERM would make mpirun leave its ranks behind.
    local alone=
    [ "$1" != mpirun ] || alone=--foreground
    TMP=$work/case TMPDIR=$work/case timeout $alone -k 5 "$limit" "$@" >"$work/output" 2>&1 </dev/null
    rc=$?
    local ms=$(((${EPOCHREALTIME/[.,]/} - ${start/[.,]/}) / 1000))
    local took=$((ms / 1000)).$((ms % 1000 / 100))
    rm -rf "$work/case"
    if [ $rc -eq 0 ]; then
        passed=$((passed + 1))
        printf 'ok    %-28s %5s s\n' "$name" "$took"
    else
        failed=$((failed + 1))
        printf 'FAIL  %-28s %5s s  ' "$name" "$took"
        [ $rc -ne 124 ] && [ $rc -ne 137 ] && echo "exit $rc" || echo "stopped after $limit s"
        sed 's/^/      | /' "$work/output"
    fi
}

# ranks FOLDER/TEST NP...
ranks() {
    local test=$1
    shift
    for np; do
        if [ "$np" = 1 ]; then case_run "$test np=1" "$build/tests/$test"
        else case_run "$test np=$np" mpirun -n "$np" "$build/tests/$test"; fi
    done
}

# What is to be run stands in the sources: a test that was not built fails.
tests() { for f in tests/$1/test_*.c tests/$1/fuzz_*.c; do [ ! -f "$f" ] || { f=${f#tests/}; echo "${f%.c}"; }; done; }

# Those that wait more than they compute (a lease's heart, a watchdog's limit) run beside the others, one after the other.
waits=' io/base/test_lease launch/lease launch/watch launch/deadline '
later() { case $waits in *" $1 "*) true ;; *) false ;; esac; }
launch() { ASVR=$build/asvr case_run "$1" bash "tests/$1.sh"; }
(
    work=$work/waits && mkdir "$work"
    ranks io/base/test_lease 1
    launch launch/lease
    launch launch/watch
    launch launch/deadline
) >"$work/said" &

case_run layers tests/layers.sh
for t in $(tests core); do case_run "$t" "$build/tests/$t"; done
for t in $(tests dist); do ranks "$t" 1 2 3 4; done
for t in $(tests 'io/*'); do
    case $t in
    io/set/test_shard | io/set/test_index | io/h5/* | io/set/test_loader | io/ckpt/test_ckpt | io/ckpt/test_ckptread | io/ckpt/test_ckpt_faults | io/ckpt/test_saver | io/ckpt/test_local) ranks "$t" 1 2 4 ;;
    *) later "$t" || ranks "$t" 1 ;;
    esac
done
for t in $(tests fuzz); do case_run "$t" "$build/tests/$t" "tests/fuzz/corpus/${t#fuzz/fuzz_}"; done
for t in tests/launch/*.sh; do
    [ ! -f "$t" ] || { n=${t#tests/}; later "${n%.sh}" || launch "${n%.sh}"; }
done
wait
cat "$work/said"
passed=$((passed + $(grep -c '^ok ' "$work/said"))) failed=$((failed + $(grep -c '^FAIL ' "$work/said")))

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
