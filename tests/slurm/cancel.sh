# scancel ends a job for good, saved; the same command goes on from there.
. "$ROOT/tests/slurm/tools.inc"
submit run -N 2
at_step 10 run
slurm scancel "$job"
finished CANCELLED run
restarts 0 run
tells run 'asvr train ended with 75' 'not put back'
last=$(tail -n 1 run/run.jsonl | sed 's/^{"step": \([0-9]*\),.*/\1/')
[ -d "run/ckpt/step-$(printf %08d "$last")" ] || fail "step $last was logged and not saved: $(ls run/ckpt)"

# While it waits to start again it is just gone.
submit run -N 2
at_step $((last + 4)) run
slurm scontrol requeue "$job"
until_true 60 waits "$job"
slurm scancel "$job"
finished CANCELLED run

submit run -N 2
finished COMPLETED run
whole run
no_step_twice run
