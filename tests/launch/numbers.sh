# Numbers that are not finite, and spikes: the step is skipped on all ranks alike and said, too many in a row end the run with 79.
. "$(dirname "$0")/tools.inc"

# lr x decay = 1000: the weights change sign and grow a thousandfold a step, until floats overflow
burst=(--set train.steps=40 --set train.lr=100 --set train.decay=10 --set train.warmup=0 --set train.skip_limit=3)
says 0 1 pack "$config" "${small[@]}"
for np in 0 2; do
    says 79 $np train "$config" "${small[@]}" "${burst[@]}" --set run.dir=burst$np
    blames 'not finite' 'steps in a row' 'hint'
    [ "$(grep -c '^asvr: warning: step .* is skipped: .*; not finite: that of rank 0 (.*), samples [0-9]' err)" = 4 ] || { cat err; fail "4 skipped steps were not named"; }
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

# ---- spikes: the rule once more in awk; on any grid the same, and after a resume ----
spikes=(--set train.steps=70 --set train.spike=1.15 --set train.micro_batch=2 --set train.skip_limit=100)
train() { says "$1" "$2" train "$config" "${small[@]}" "${spikes[@]}" "${@:3}"; }
train 0 0 --set run.dir=spike
named() { grep 'is skipped' err | sed 's/of rank.*, samples/samples/'; }
named >named
join <(column grad_norm spike) <(column skipped spike) | awk '
    function median(   i, j, x, v) {
        for (i = 1; i <= n; i++) { v = a[first + i]; for (j = i; j > 1 && x[j - 1] > v; j--) x[j] = x[j - 1]; x[j] = v }
        return x[int(n / 2) + 1] }
    { spike = n >= 20 && $2 > 1.15 * median(); want += spike
      if ($3 != want) { print "step " $1 ": skipped " $3 ", the rule says " want; exit 1 }
      if (!spike) { a[first + n + 1] = $2; if (n == 32) first++; else n++ } }
    END { if (want < 2 || want > 40) { print want " spikes show nothing"; exit 1 } }' || fail "other steps were skipped"
for np in 2 4; do
    train 0 $np --set run.dir=spike$np
    same_losses spike spike$np
    diff named <(named) || fail "other samples are named on $np ranks"
done
grep -q 'step .* is skipped: .* times the median; the largest part, .*, is that of rank [123] (.*), samples [0-9]* [0-9]*$' err ||
    { cat err; fail "no rank but 0 is named"; }
train 0 2 --set run.dir=spike.tp --set parallel.tp=2
grep -q 'the largest part, .* samples [0-9]* [0-9]*$' err || { cat err; fail "no spike on two ranks of a replica"; }
train 0 2 --set run.dir=spike.again --set ckpt.every=45
rm -r spike.again/ckpt/step-00000070
train 0 4 --set run.dir=spike.again
grep -q 'resumes from spike.again/ckpt/step-00000045' out || fail "it did not resume"
same_losses spike spike.again
train 79 2 --set run.dir=spike.end --set train.spike=0.1 --set train.skip_limit=2
blames 'beyond train.spike' '3 steps in a row'

# ---- what one rank alone computes wrong, once: nothing of it is left in a second pass ----
for fault in 1:3:forward:nan 1:3:backward:nan 0:30:backward:spike:1e7; do
    rm -rf once
    ASVR_FAULT=$fault says 0 2 train "$config" "${small[@]}" --set train.steps=32 --set train.micro_batch=2 --set run.dir=once
    [ "$(grep -c 'is skipped: .*; computed again it is not: a node.s memory or arithmetic erred' err)" = 1 ] || { cat err; fail "$fault: not said once"; }
    [ "$(column skipped once | tail -1)" = '32 1' ] || fail "$fault: not one step was skipped"
    case $fault in *forward*) grep -q 'erred, perhaps that of rank 1 (' err || { cat err; fail "the rank whose loss was not finite is not named"; } ;; esac
done

# ---- the same on one of the ranks that share a replica, and the losses that it has in common with the others ----
for rank in 0 1; do
    rm -rf once
    ASVR_FAULT=$rank:3:forward:nan says 0 2 train "$config" "${small[@]}" --set train.steps=5 --set parallel.tp=2 --set run.dir=once
    [ "$(grep -c 'is skipped: loss nan, ' err)" = 1 ] || { cat err; fail "rank $rank of a replica: not said once"; }
    [ "$(column skipped once | tail -1)" = '5 1' ] || fail "rank $rank of a replica: not one step was skipped"
done
