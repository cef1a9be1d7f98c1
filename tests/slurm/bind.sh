# Where Slurm ties no rank to a core (task/none) asvr divides the node's cores among its ranks; where it does, it keeps to that; what
# OMP_PLACES would pin onto one core is warned of. The bits are the same.
. "$ROOT/tests/slurm/tools.inc"
fault=
unset OMP_NUM_THREADS SLURM_CPU_BIND
export ASVR_RANKS_PER_NODE=2
submit affinity -N 1
finished COMPLETED affinity
whole affinity

export CLUSTER=$TMP/none NET=10.78.0
TASK=task/none "$ROOT/tests/slurm/cluster.sh" up 1 2
trap '"$ROOT/tests/slurm/cluster.sh" down' EXIT
submit none -N 1
finished COMPLETED none
tells none 'n1: 2 ranks x 1 thread on 2 of 2 cores' 'each rank bound to its share'
whole none
OMP_PROC_BIND=close OMP_PLACES=cores submit pinned -N 1
finished COMPLETED pinned
grep -qi 'OMP_PROC_BIND\|OMP_PLACES' pinned.log || trouble 'nobody warns of ranks that share a core'
whole pinned
