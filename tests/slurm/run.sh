#!/bin/bash
# tests/slurm/run.sh [BUILD] [NAME]...: every script of this folder, or those whose name contains a NAME, on real Slurm clusters of
# this machine (cluster.sh): 4 nodes of 4 CPUs, healed between cases.  Cases that wait more than they compute have clusters of their
# own, beside the others.  One line a case, and the count; VERBOSE=1 shows what they say.  Needs root.  The last case is the end of
# the clusters: nothing may be left of them.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/cases.inc

export ROOT=$PWD BASE=$work/base
export ASVR=$build/asvr ASVR_THREADS=1 SLURM_CPU_BIND=none      # the "nodes" share two cores: nobody is tied to one
export cluster=tests/slurm/cluster.sh work
limit=${LIMIT:-600}
waits=' slurm/link slurm/node '
ended() { for c in a b c; do CLUSTER=$work/$c $cluster down || return; done; }
trap 'ended; rm -rf "$work"' EXIT

# What a machine shows of a cluster: processes, mounts, interfaces, name spaces, what is in /etc/hosts and beside the folder.
traces() {
    ps -eo args | grep -F -- "$work/" | grep -v '^\(grep\|diff\) '
    grep -c . /proc/mounts
    ip -o link show | cut -d: -f2
    ls /run/netns /var/run/munge /run/slurm* /var/spool/slurm* /var/log/munge /var/log/slurm* 2>/dev/null
    cksum /etc/hosts
}

# Every case finds all nodes up and nothing in the queue.
healed() {
    local i
    $cluster run scancel -u "$(id -un)" 2>/dev/null
    for i in 1 2 3 4; do
        $cluster node-up $i
        $cluster link $i heal
    done
    for ((i = 0; i < 600; i++)); do
        [ -n "$($cluster run squeue -h)" ] || [ "$($cluster run sinfo -h -p high -t idle -o %D)" != 4 ] || return 0
        [ $((i % 50)) != 49 ] || $cluster run scontrol update nodename=n[1-4] state=resume 2>/dev/null
        sleep 0.1
    done
    echo "the cluster does not come to rest: $($cluster run sinfo -h -N -p high -o '%N %T %E')" >&2
    return 1
}

# series NAME NET CASE...: one after the other on a cluster of their own
series() {
    export CLUSTER=$work/$1 NET=$2
    shift 2
    [ $# -gt 0 ] || return
    local t work=$work
    $cluster up 4 4 >"$CLUSTER.up" 2>&1 || { echo "FAIL  cluster $CLUSTER"; cat "$CLUSTER.up"; return; }
    work=$work/cases.${CLUSTER##*/}
    mkdir "$work"
    for t; do
        healed || echo "FAIL  the cluster before $t"
        case_run "$t" bash "tests/$t.sh"
    done
}

traces >"$work/before"
mkdir "$BASE"
TMP=$BASE bash tests/slurm/whole.inc >"$work/output" 2>&1 || { cat "$work/output"; exit 1; }
waiting=() computing=() soak=()
for t in tests/slurm/*.sh; do
    t=${t#tests/} t=${t%.sh}
    case $t in slurm/run | slurm/cluster) continue ;; esac
    wanted "$t" || continue
    if [ "$t" = slurm/soak ]; then              # minutes of random faults, by name only
        [ ${#names[@]} -gt 0 ] && soak=("$t") || echo "by name only: $t"
        continue
    fi
    case $waits in *" $t "*) waiting+=("$t") ;; *) computing+=("$t") ;; esac
done
(trap - EXIT; series b 10.77.1 "${waiting[@]}") >"$work/said.b" &
(trap - EXIT; series c 10.77.2 "${soak[@]}") >"$work/said.c" &
(trap - EXIT; series a 10.77.0 "${computing[@]}") | tee "$work/said.a"
wait
cat "$work/said.b" "$work/said.c"

export -f traces ended
case_run slurm/teardown bash -c 'ended && ended && [ ! -e "$work/a" ] && [ ! -e "$work/b" ] && [ ! -e "$work/c" ] && traces | diff "$work/before" -' >"$work/said.d"
cat "$work/said.d"
counted
