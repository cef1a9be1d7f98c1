# The job's time ends: the last save begins early enough by what saves take, and a time that nobody knows stops nobody.
. "$(dirname "$0")/tools.inc"

says 0 1 pack "$config" "${small[@]}"

# ---- saves take 6 s here, and two may be waited for: nothing is begun in the last 12 s ----
end=$(($(date +%s) + 26))
ASVR_FAULT='*:*:tensors:slow:6' begin 2 train "$config" "${small[@]}" --set run.dir=late --set train.steps=1000000 --set ckpt.every=20 \
    --set stop.deadline=$end
ended 75
[ "$(date +%s)" -le $end ] || fail "it ended behind its deadline"
grep -q "^the job's time ends at .* (stop.deadline)" out || { cat out; fail "nobody says when the job's time ends"; }
save=$(sed -n "s/^the job's time is not enough for step .* and a save (\([0-9]*\).*/\1/p" out)
[ -n "$save" ] && [ "$save" -ge 6 ] || { cat out; fail "the time of a save was not measured"; }
at=$(sed -n 's/^{.*"time": \([0-9]*\).*/\1/p' late/run.jsonl | tail -1)
[ "$at" -le $((end - 11)) ] || fail "the last step ended $((end - at)) s before the end"

# ---- what is left of an earlier life's end, and a Slurm that does not answer ----
export SLURM_JOB_ID=1 SLURM_CONF=$PWD/nowhere
SLURM_JOB_END_TIME=1000000000 says 0 0 train "$config" "${small[@]}" --set run.dir=stale
grep -q "^when the job's time ends is not known: squeue .*, and SLURM_JOB_END_TIME is past" out || { cat out; fail "a stale end is not named"; }
says 0 0 train "$config" "${small[@]}" --set run.dir=none
[ "$(grep -c "^when the job's time ends is not known: squeue " out)" = 1 ] || { cat out; fail "not one line about a deaf squeue"; }
SLURM_JOB_END_TIME=$(($(date +%s) + 7200)) says 0 0 train "$config" "${small[@]}" --set run.dir=known
grep -qE "^the job's time ends at .*, in (2 h 00 min 00 s|1 h 59 min .. s) \(SLURM_JOB_END_TIME\)" out || { cat out; fail "the environment's end is not taken"; }
unset SLURM_JOB_ID
says 0 0 train "$config" "${small[@]}" --set run.dir=free
! grep -q "job's time" out || { cat out; fail "there is no Slurm here"; }
