# Signals to the ranks: one saves, a second after stop.grace ends at once, and both put the job back; during start-up, too.
. "$ROOT/tests/slurm/tools.inc"
for signal in USR1 TERM; do
    submit $signal -N 2
    at_step 10 $signal
    slurm scancel --signal=$signal "$job"
    finished COMPLETED $signal
    restarts 1 $signal
    tells $signal 'asvr train ended with 75' 'back into the queue'
    whole $signal
    no_step_twice $signal
done

# To everybody, the script among them.
submit full -N 2
at_step 10 full
slurm scancel --full --signal=USR1 "$job"
finished COMPLETED full
restarts 1 full
whole full

# To the script alone, as --signal=B:USR1@60 does: it passes it on.
submit script -N 1
at_step 10 script
slurm scancel --batch --signal=USR1 "$job"
finished COMPLETED script
restarts 1 script
whole script

# To everybody while the script still asks the program about the configuration.
printf '#!/bin/bash\n[ "$2" != help ] || { : >asking; sleep 2; }\nexec "$@"\n' >late
chmod +x late
ASVR_WRAP=$PWD/late submit asks -N 1
until_true 60 [ -f asking ]
slurm scancel --full --signal=USR1 "$job"
finished COMPLETED asks
[ "$(field "$job" Restarts)" = 1 ] || trouble "$(field "$job" Restarts) restarts"
whole asks

# The second one comes in the middle of a save that takes long.
fault="*:1+:data:slow:0.1,*:1+:hash:slow:8"
submit twice -N 2 -- --set ckpt.every=20 --set stop.grace=1
at_step 26 twice
slurm scancel --signal=USR1 "$job"
sleep 2
slurm scancel --signal=USR1 "$job"
finished COMPLETED twice
restarts 1 twice
tells twice 'asvr train ended with 76' 'back into the queue'
whole twice

# Before MPI_Init has returned, while the program is loaded, before it is there.
fault=
for i in 1 2 3 4; do
    submit start$i -N 1 -- --set stop.grace=1
    jobs[i]=$job
done
for i in 1 2 3 4; do
    job=${jobs[i]}
    now=start$i
    until_true 30 stepping "$job"
    slurm scancel --signal=TERM "$job"
done
for i in 1 2 3 4; do
    job=${jobs[i]}
    finished COMPLETED start$i
    whole start$i
done
