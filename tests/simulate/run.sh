#!/bin/bash
# tests/simulate/run.sh BUILD NODES RANKS_A_NODE BUNDLE "KEY=VALUE ..." MODE...: one simulation of CONFIG on CLUSTER;
# prints its line, and the seconds that it took.
# TREE: SimGrid's parameters of a fat tree in place of a fabric that never blocks.
# MODE is what tests/simulate/simulate.c takes; SMPI holds further --cfg= of SimGrid.
set -u
build=$1 nodes=$2 each=$3 bundle=$4 sets=$5
shift 5
start=${EPOCHREALTIME/[.,]/}
tmp=$(mktemp -d) || exit
trap 'rm -rf "$tmp"' EXIT
# shellcheck disable=SC2086   # words
"$build/simulate/describe" "$tmp" "$CONFIG" "$CLUSTER" "$nodes" "$each" "$bundle" $sets || exit
[ -z "${TREE-}" ] || sed -i "s|sharing_policy|topology=\"FAT_TREE\" topo_parameters=\"$TREE\" &|" "$tmp/cluster.xml"
# Costs are those of the described machine alone: nothing of SimGrid's own for TCP, for polling, or measured on this one.  The
# collectives that block are chosen as Open MPI does.
# shellcheck disable=SC2086
smpirun -np $((nodes * each)) -platform "$tmp/cluster.xml" -hostfile "$tmp/hosts" --log=root.thres:warning --log=ker_lmm.thres:critical \
    --cfg=smpi/privatization:dlopen --cfg=smpi/tmpdir:"$tmp" --cfg=smpi/simulate-computation:no --cfg=smpi/coll-selector:ompi \
    --cfg=network/model:CM02 --cfg=network/TCP-gamma:1e30 --cfg=network/crosstraffic:0 --cfg=smpi/test:0 --cfg=smpi/iprobe:0 \
    --cfg=smpi/wtime:0 --cfg=smpi/send-is-detached-thresh:0 --cfg=smpi/async-small-thresh:0 ${SMPI-} \
    "$build/simulate/simulate" "$tmp/rank" "$@" >"$tmp/out" 2>"$tmp/errors" &&
    echo "$(cat "$tmp/out") wall $(((${EPOCHREALTIME/[.,]/} - start) / 1000000))" && exit
cat "$tmp/out" "$tmp/errors" >&2
exit 1
