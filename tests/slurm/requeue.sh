# scontrol requeue by somebody: Slurm puts the job back, the script does not do it again.
. "$ROOT/tests/slurm/tools.inc"
submit run -N 2
at_step 10 run
slurm scontrol requeue "$job"
finished COMPLETED run
restarts 1 run
tells run 'asvr train ended with 75' 'Slurm has put it back already'
whole run
no_step_twice run
