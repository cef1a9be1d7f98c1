# What is a cluster's own; copy to site.sh, which job.sh reads in every job.  Account and partition are sbatch's:
# export SBATCH_ACCOUNT=..., SBATCH_PARTITION=... in your shell, or slurm.account and slurm.partition of `asvr submit`.

# module load gcc openmpi hdf5/parallel openblas scalapack zstd
# ASVR=$HOME/asvr/build/asvr
# ASVR_WRAP="apptainer exec $HOME/asvr.sif"
# ASVR_RANKS_PER_NODE=8                         # a rank a NUMA domain
# ASVR_SCRATCH=/local/scratch/$USER             # the node's own disk
# export OMPI_MCA_btl=^openib UCX_TLS=rc,sm,self
