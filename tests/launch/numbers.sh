# Numbers that are not finite: the step is skipped on all ranks alike and said, too many in a row end the run with 79.
. "$(dirname "$0")/tools.inc"

# lr x decay = 1000: the weights change sign and grow a thousandfold a step, until floats overflow
burst=(--set train.steps=40 --set train.lr=100 --set train.decay=10 --set train.warmup=0 --set train.skip_limit=3)
says 0 1 pack "$config" "${small[@]}"
for np in 0 2; do
    says 79 $np train "$config" "${small[@]}" "${burst[@]}" --set run.dir=burst$np
    blames 'not finite' 'steps in a row' 'hint'
    [ "$(grep -c '^asvr: warning: step .* is skipped: .*samples of rank 0: [0-9]' err)" = 4 ] || { cat err; fail "4 skipped steps were not named"; }
    [ "$(column skipped burst$np | tail -1 | cut -d' ' -f2)" = 4 ] || fail "the log does not count the skipped steps"
    [ "$(column skipped burst$np | head -1)" = '1 0' ] || fail "the first step was skipped already"
    ! ls burst$np/ckpt 2>/dev/null | grep step || fail "a run that failed was saved"
done

# saved among skipped steps, resumed: the same lines as without the stop
burst+=(--set train.skip_limit=100 --set train.steps=20)
says 0 0 train "$config" "${small[@]}" "${burst[@]}" --set run.dir=whole
burst+=(--set ckpt.every=15)
says 0 0 train "$config" "${small[@]}" "${burst[@]}" --set run.dir=part
rm -r part/ckpt/step-00000020
says 0 0 train "$config" "${small[@]}" "${burst[@]}" --set run.dir=part
grep -q 'resumes from part/ckpt/step-00000015' out || { cat out; fail "it did not resume from step 15"; }
same_losses whole part
