# Which end is worth another start, and how often.
. "$ROOT/tests/slurm/tools.inc"
export ASVR_BUDGET=2

# Killed each time before there is a checkpoint: two more starts, and a sentence.
fault='0:5:forward:kill'
submit killed -N 1
finished FAILED killed
restarts 2 killed
tells killed 'ended with 137' 'given up: 3 starts in a row without a new checkpoint'

# Killed as often and oftener, but each life gets further: it ends.
fault=$slow
submit further -N 1 -- --set ckpt.every=4
for life in 0 1 2 3; do
    # A checkpoint more than the life before had, and steps beyond it.
    reached() { tail -n 1 further/run.jsonl 2>/dev/null | grep '"restart": '$life | awk -F'[:,]' -v n=$((9 + 7 * life)) '{ ok = $2 >= n } END { exit !ok }'; }
    now=further
    until_true 60 reached
    node=$(node_of 1)
    cluster node "$node" kill -9 "$(rank_on "$node")"
done
finished COMPLETED further
whole further
restarts 4 further

# What would end the same way again is not started again.
for code in 65 70 74 78 79; do
    fault="*:3:forward:exit:$code"
    submit never$code -N 1
    finished FAILED never$code
    restarts 0 never$code
    [ "$(field "$job" ExitCode)" = $code:0 ] || fail "exit $code became $(field "$job" ExitCode)"
done
fault=
submit typo -N 1 -- --set train.sets=3
finished FAILED typo
restarts 0 typo
[ "$(field "$job" ExitCode)" = 78:0 ] || fail "a wrong configuration ends with $(field "$job" ExitCode)"

# Another job has the folder: it waits its turn in the queue.
fault=$slow
submit first -N 1
at_step 4 first
one=$job
ASVR_BUDGET=9 submit first -N 1
two=$job
for job in $one $two; do finished COMPLETED first 180; done
tells first 'the run directory is in use' 'ended with 76'
whole first
