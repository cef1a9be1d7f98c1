# A job that is longer than its time limit goes on until it is done: stopped by the signal before the limit, and, without one, by the
# job's own end, which rank 0 asks Slurm for.  One that runs into its limit all the same is saved and ends there.
. "$ROOT/tests/slurm/tools.inc"
fault='*:1+:data:slow:1.6'
plain() {                                       # RUN ARGS...: no signal before the end
    cat >$1.sbatch <<S
#!/bin/bash
#SBATCH --nodes=1 --exclusive --open-mode=append --requeue --time=1
. "$ROOT/slurm/job.sh"
job_run train "\$@"
S
    script=$1.sbatch
    submit "$@"
}
submit signal -N 1 --time=1 --signal=USR1@10
signal=$job
plain deadline
deadline=$job
fault='*:6:data:slow:90'                        # the step before it took no time
plain over -- --set watch.timeout=600
over=$job
for run in signal deadline; do
    job=${!run}
    finished COMPLETED $run 200
    [ "$(field "$job" Restarts)" -ge 1 ] || fail "$run ended within its limit"
    ! grep -q 'DUE TO TIME LIMIT' $run.log || trouble "$run ran into its limit"
    tells $run 'asvr train ended with 75' 'back into the queue'
    whole $run
    no_step_twice $run
done
tells deadline "the job's time is not enough for step"

job=$over
finished TIMEOUT over
restarts 0 over
tells over 'DUE TO TIME LIMIT' 'asvr train ended with 75' 'not put back'
