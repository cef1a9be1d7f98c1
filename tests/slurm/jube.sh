#!/bin/bash
# tests/slurm/jube.sh [mpirun|slurm]: slurm/jube/asvr.xml through the real JUBE, by mpirun, or by sbatch and srun on the cluster that is
# up; without a word by both.
# $ASVR is the program (its full path), $TMP a folder of its own that all nodes see.  No JUBE is a failure.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
if [ $# = 0 ]; then
    mkdir "$TMP/mpirun" "$TMP/slurm"
    TMP=$TMP/mpirun bash "$root/tests/slurm/jube.sh" mpirun
    TMP=$TMP/slurm "$root/tests/slurm/cluster.sh" run bash "$root/tests/slurm/jube.sh" slurm
    exit
fi
tag=$1
fail() { echo "jube: $*"; exit 1; }
command -v jube >/dev/null || fail "there is no jube: apt-get install jube"

export ASVR CONFIG=$root/configs/tiny.cfg POINTS="1 1;2 1;2 2" BATCH=2 THREADS=1
export MORE="--set data.set= --set train.micro_batch=1 --set model.decoder.max_len=24"
runs=$TMP/jube
cd "$TMP"
jube run "$root/slurm/jube/asvr.xml" -t "$tag" -o "$runs" >said 2>&1 || { cat said; fail "jube run"; }
waited=0
while [ "$tag" = slurm ] && [ "$(find "$runs" -name done -o -name failed | wc -l)" -lt 3 ]; do
    [ $((waited += 1)) -le 120 ] || { squeue; fail "the jobs have not ended in two minutes"; }
    sleep 1
done
[ "$tag" != slurm ] || jube continue "$runs" >said 2>&1 || { cat said; fail "jube continue"; }
jube result "$runs" -a >table 2>&1 || { cat table; fail "jube result"; }
cat table

# One line a point, each with a rate and the word that it ended well; as many samples as replicas ask for.
awk -F'|' 'NF > 9 && $2 + 0 > 0 { n++; bad += $6 <= 0 || $7 <= 0 || $11 !~ /^ *OK *$/ || $5 + 0 != 2 * int($2 / $3) } END { exit n != 3 || bad }' table ||
    fail "the table"
