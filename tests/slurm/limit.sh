# A job that is longer than its time limit goes on until it is done: stopped by the signal before the limit, and, without one, by the
# job's own end, which rank 0 asks Slurm for.
. "$ROOT/tests/slurm/tools.inc"
fault='*:1+:data:slow:1.5'
submit signal -N 2 --time=1 --signal=USR1@10
one=$job
cat >plain.sbatch <<S
#!/bin/bash
#SBATCH --nodes=2 --exclusive --open-mode=append --requeue --time=1
. "$ROOT/slurm/job.sh"
job_run train "\$@"
S
script=plain.sbatch
submit deadline
for run in signal deadline; do
    [ $run = deadline ] || { two=$job job=$one; }
    finished COMPLETED $run 200
    [ "$(field "$job" Restarts)" -ge 1 ] || fail "$run ended within its limit"
    ! grep -q 'DUE TO TIME LIMIT' $run.log || trouble "$run ran into its limit"
    tells $run 'asvr train ended with 75' 'back into the queue'
    whole $run
    no_step_twice $run
    job=$two
done
tells deadline "the job's time is not enough for step"
