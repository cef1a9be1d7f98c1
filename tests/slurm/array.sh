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

# A job that was submitted from within such an element, which had been restarted, goes by its own name, count and tasks.
SLURM_ARRAY_JOB_ID=$array SLURM_ARRAY_TASK_ID=1 SLURM_RESTART_COUNT=4 SLURM_NTASKS_PER_NODE=3 submit inner -N 1
at_step 8 inner
[ "$("$ASVR" status inner --json | sed 's/.*"job": "\([^"]*\)".*/\1/')" = "$job" ] || fail "the run's job is not $job"
! grep -q '"ranks": 3,' inner/lives.jsonl || fail "ranks by another job's --ntasks-per-node"
slurm scancel --signal=USR1 "$job"
finished COMPLETED inner
restarts 1 inner
whole inner
