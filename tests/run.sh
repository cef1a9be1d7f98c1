#!/bin/bash
# tests/run.sh [BUILD] [NAME]...: runs every test, or those whose name contains a NAME; BUILD is the folder of the
# build (default $OUT, else build/debug).  One line a case, in the order in which they end, the output of those that fail, and at
# the end the count.  LANES cases run side by side (default: one a core).
#   core, io    cmocka programs, one process; io's parallel files also with 2 and 4 ranks
#   dist        cmocka programs with 1, 2, 3 and 4 ranks; one rank runs without a launcher
#   fuzz        fuzz targets, each with the files of its corpus and damaged copies of them (tests/fuzz/driver.c)
#   launch      cmocka programs, one process; shell scripts: $ASVR is the program, $TMP a folder of their own
set -u
cd "$(dirname "$0")/.." || exit 1

. tests/cases.inc

# Cases share the cores: threads that wait sleep.  A process without a launcher starts in half the time without Open MPI's daemon;
# launch/train and launch/stop have it.
export OMP_WAIT_POLICY=passive OMPI_MCA_ess_singleton_isolated=1

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

launch() { ASVR=$build/asvr case_run "$1" bash "tests/$1.sh"; }

everything() {
    local t
    case_run layers tests/layers.sh
    for t in $(tests core); do case_run "$t" "$build/tests/$t"; done
    for t in $(tests dist); do ranks "$t" 1 2 3 4; done
    for t in $(tests 'io/*'); do
        case $t in
        io/set/test_shard | io/set/test_index | io/h5/* | io/set/test_loader | io/ckpt/test_ckpt | io/ckpt/test_ckptread | io/ckpt/test_ckpt_faults | io/ckpt/test_saver | io/ckpt/test_ckptstream | io/ckpt/test_local) ranks "$t" 1 2 4 ;;
        *) ranks "$t" 1 ;;
        esac
    done
    for t in $(tests fuzz); do case_run "$t" "$build/tests/$t" "tests/fuzz/corpus/${t#fuzz/fuzz_}"; done
    for t in $(tests launch); do ranks "$t" 1; done
    for t in tests/launch/*.sh; do t=${t#tests/}; launch "${t%.sh}"; done
}

# Those that wait more than they compute (a lease's heart, a watchdog's limit, a deadline) are begun first, in a lane of their own, and
# the others give way to them: what they do is due at a time.
waiting() {
    local t
    ranks io/base/test_lease 1
    for t in watch deadline stop status lease; do launch "launch/$t"; done
}

# A lane a core: each goes through everything and takes what nobody has.
{
    waiting &
    for ((lane = 0; lane < ${LANES:-$(nproc)}; lane++)); do gives_way='nice -n 5' everything & done
    wait
} | tee "$work/said"

counted
