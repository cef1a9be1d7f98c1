# A job of higher priority takes the nodes, with ten seconds of grace or with none: saved, put back, and no step is computed twice.
. "$ROOT/tests/slurm/tools.inc"
for partition in low now; do
    submit $partition -p $partition -N 4
    at_step 10 $partition
    higher
    finished COMPLETED $partition
    restarts 1 $partition
    tells $partition 'asvr train ended with 75'
    whole $partition
    no_step_twice $partition
done
tells low 'back into the queue'
tells now 'Slurm has put it back already'
