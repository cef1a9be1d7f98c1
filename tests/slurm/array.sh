# A signal to one element of an array puts back this one alone.
. "$ROOT/tests/slurm/tools.inc"
cat >array.sbatch <<S
#!/bin/bash
#SBATCH --array=0-1 --nodes=1 --exclusive --open-mode=append --output=run%a.log --requeue
. "$ROOT/slurm/job.sh"
job_run train "\$@" --set run.dir=run\$SLURM_ARRAY_TASK_ID
S
array=$(ASVR_FAULT=$slow slurm sbatch --parsable array.sbatch "$config" "${small[@]}")
at_step 8 run0
at_step 8 run1
slurm scancel --signal=USR1 "${array}_1"
for i in 0 1; do
    job=${array}_$i
    finished COMPLETED run$i
    restarts $i run$i
    whole run$i
    no_step_twice run$i
done
