#!/bin/bash
# tests/slurm/run.sh [BUILD] [NAME]...: every script of this folder, or those whose name contains a NAME, on a real Slurm cluster
# of this machine (cluster.sh): 4 nodes of 4 CPUs, started once, healed between cases.  One line a case, and the count.
# Needs root.  The last case is the cluster's end: nothing may be left of it.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/cases.inc

export CLUSTER=$work/cluster ROOT=$PWD BASE=$work/base
export ASVR=$build/asvr ASVR_THREADS=1 SLURM_CPU_BIND=none      # the "nodes" share two cores: nobody is tied to one
cluster=tests/slurm/cluster.sh
limit=${LIMIT:-420}
trap '$cluster down; rm -rf "$work"' EXIT

# What a machine shows of a cluster: processes, mounts, interfaces, name spaces, what is in /etc/hosts and beside the folder.
traces() {
    ps -eo args | grep -F -- "$work/" | grep -v grep
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

traces >"$work/before"
$cluster up 4 4 >"$work/output" 2>&1 || { cat "$work/output"; exit 1; }
mkdir "$BASE"
TMP=$BASE bash tests/slurm/whole.inc >"$work/output" 2>&1 || { cat "$work/output"; exit 1; }
for t in tests/slurm/*.sh; do
    n=${t#tests/}
    case $t in */run.sh | */cluster.sh) continue ;; esac
    wanted "${n%.sh}" || continue
    healed || failed=$((failed + 1))
    case_run "${n%.sh}" bash "$t"
done

export -f traces
export cluster work
case_run slurm/teardown bash -c '$cluster down && $cluster down && [ ! -e "$CLUSTER" ] && traces | diff "$work/before" -'
counted
