# eval.every: training does not notice; evals.jsonl through kills and resumes; the best checkpoint stays, whatever ckpt.keep says.
. "$(dirname "$0")/tools.inc"

small+=(--set train.steps=12 --set chat.max_new=4)
evals=(--set eval.every=3 --set eval.samples=8 --set ckpt.best=loss_text --set ckpt.keep=1 --set ckpt.every=2 --set ckpt.async=false --set run.tensorboard=true)
says 0 1 pack "$config" "${small[@]}"
steps() { sed -n 's/^{"step": \([0-9]*\),.*/\1/p' $1/evals.jsonl | tr '\n' ' '; }
found() { sed 's/"time": [^,]*, "seconds": [^,]*, //' $1/evals.jsonl; }
best() { readlink $1/ckpt/best; }
kept() { (cd $1/ckpt && echo step-*); }
# told RUN: how many evaluations TensorBoard's files have, of lives that were not done again
told() { cat $1/tensorboard/events.out.tfevents.* | grep -ao eval/loss_text | wc -l; }

# ---- the bits of the losses, on one rank and on two that share all they can; the same is found by both ----
says 0 0 train "$config" "${small[@]}" --set run.dir=plain
says 0 0 train "$config" "${small[@]}" "${evals[@]}" --set run.dir=whole
same_losses plain whole
[ "$(told whole)" = 4 ] && grep -aq accuracy/count whole/tensorboard/* || fail "TensorBoard has $(told whole) evaluations"
[ "$(steps whole)" = "3 6 9 12 " ] || { cat whole/evals.jsonl; fail "other steps"; }
grep -q '^step 6: evaluated 8 samples in .*text .*accuracy .*the best so far' out || { cat out; fail "an evaluation is not told"; }
says 0 2 train "$config" "${small[@]}" "${evals[@]}" --set run.dir=two --set parallel.zero=2 --set ckpt.async=true
same_losses plain two
diff <(found whole) <(found two) || fail "two ranks find something else"
says 0 2 train "$config" "${small[@]}" "${evals[@]}" --set run.dir=tp --set parallel.tp=2 --set parallel.sequence=true --set train.recompute=block
same_losses plain tp
[ "$(kept whole)" = step-00000012 ] && [ "$(best whole)" = step-00000012 ] || { kept whole; fail "the last step was not the best"; }
cp whole/eval.json newest.json
says 0 0 eval "$config" "${small[@]}" --set eval.samples=8 --set run.dir=whole
diff <(sed 's/"loss_[a-z]*": [^,]*, //g' newest.json) <(sed 's/"loss_[a-z]*": [^,]*, //g' whole/eval.json) || fail "eval finds other answers than the run"

# ---- killed behind the evaluation of step 6, which nothing to come will beat; what stands in evals.jsonl behind the resume goes ----
ASVR_FAULT='*:8:forward:kill' says 137 0 train "$config" "${small[@]}" "${evals[@]}" --set run.dir=killed
[ "$(best killed)" = step-00000006 ] && [ "$(kept killed)" = step-00000006 ] || { kept killed; fail "the best of two is another"; }
sed -i '2s/"loss_text": [^,]*/"loss_text": 0.001/' killed/evals.jsonl
printf '{"step": 9, "loss_text": 0.0001}\n{"step": 12, "lo' >>killed/evals.jsonl
says 0 2 train "$config" "${small[@]}" "${evals[@]}" --set run.dir=killed
same_losses plain killed
[ "$(steps killed)" = "3 6 9 12 " ] || { cat killed/evals.jsonl; fail "lines behind the resume stayed"; }
[ "$(best killed)" = step-00000006 ] && [ "$(kept killed)" = "step-00000006 step-00000012" ] || { kept killed; fail "the best was not kept"; }
diff <(found killed | sed -n '1p;3,4s/"best": .*//p') <(found whole | sed -n '1p;3,4s/"best": .*//p') || fail "it found something else after the kill"

says 0 0 status killed
grep -q '^eval  *step 12: text ' out && grep -q '^best  *step 6: text 0.0010' out || { cat out; fail "status does not tell of evaluations"; }
says 0 0 status killed --json
grep -q '"evals": 0*\.[0-9]*[1-9]' out || { cat out; fail "evaluations took no time"; }
grep -q '"evaluation": {"step": 12, .*"best": {"step": 6, "loss": ' out || { cat out; fail "status --json does not"; }
says 0 0 report killed
grep -q 'Evaluation: text loss' killed/report.html && grep -q 'Evaluation: accuracy' killed/report.html || fail "report draws no evaluations"

# ---- by its name it is a checkpoint as any other; of benchmarks its scores stand beside the newest ----
says 0 0 verify killed/ckpt/best
for from in killed killed/ckpt/best; do
    says 0 0 eval "$config" "${small[@]}" --set run.dir=killed --set eval.from=$from --set eval.tsv="$(dirname "$config")/../tests/golden/kits/MMVP.tsv"
done
says 0 0 report killed
grep -qE '>newest</th><th>step</th><th> best</th>' killed/report.html && grep -qE '>MMVP<.* %</td><td class="at">12</td>.* %</td><td class="at">6 &#9733;</td>' killed/report.html || fail "report does not tell the best checkpoint's score"
grep -qF '<th class="l">count</th>' killed/report.html || fail "benchmarks of another step have taken the accuracies from the report"
says 0 2 eval "$config" "${small[@]}" --set run.dir=killed --set eval.from=killed/ckpt/best
grep -q '^step 6, 14 samples' out || { cat out; fail "eval.from = best is another step"; }
says 0 0 train "$config" "${small[@]}" --set run.dir=next --set train.init=killed/ckpt/best
grep -q 'killed/ckpt/best' out || { cat out; fail "it does not start from the best one"; }

# ---- killed at each point of the save that gets the name: `best` names a whole checkpoint, and the run goes on ----
for point in manifest latest best; do
    ASVR_FAULT="*:6:$point:kill" says 137 0 train "$config" "${small[@]}" "${evals[@]}" --set run.dir=at_$point
    [ ! -e at_$point/ckpt/best ] || says 0 0 verify at_$point/ckpt/best
    ASVR_FAULT='*:8:forward:kill' says 137 0 train "$config" "${small[@]}" "${evals[@]}" --set run.dir=at_$point
    [ "$(best at_$point)" = step-00000006 ] || fail "$point: step 6 was the best, and has not got the name: $(best at_$point)"
    says 0 0 train "$config" "${small[@]}" "${evals[@]}" --set run.dir=at_$point
    same_losses plain at_$point
    [ "$(steps at_$point)" = "3 6 9 12 " ] && [ "$(best at_$point)" = step-00000012 ] || { steps at_$point; fail "$point: other evaluations"; }
    [ -z "$(find at_$point -name '.tmp-*')" ] || fail "left behind: $(find at_$point -name '.tmp-*')"
done

# ---- asked to stop in an evaluation: it is left, and the next start makes it up ----
export ASVR_FAULT='*:3:eval:slow:4'
begin 2 train "$config" "${small[@]}" "${evals[@]}" --set run.dir=stop
unset ASVR_FAULT
at_step 3 stop
kill -USR1 $job
ended 75
grep -q '^step 3: the evaluation is left' out && [ -z "$(steps stop)" ] || { cat out; fail "it is not left"; }
says 0 2 train "$config" "${small[@]}" "${evals[@]}" --set run.dir=stop
same_losses plain stop
diff <(found whole) <(found stop) || fail "it found something else after the stop"
[ "$(told stop)" = 4 ] || fail "TensorBoard has $(told stop) evaluations of a run that was stopped in one"

# ---- in its last one: it is all that the next start does ----
export ASVR_FAULT='*:3:eval:slow:4'
begin 0 train "$config" "${small[@]}" "${evals[@]}" --set run.dir=last --set train.steps=3
unset ASVR_FAULT
at_step 3 last
kill -USR1 $job
ended 0
says 0 0 train "$config" "${small[@]}" "${evals[@]}" --set run.dir=last --set train.steps=3
[ "$(steps last)" = "3 " ] && [ "$(told last)" = 1 ] || { steps last; fail "TensorBoard has $(told last) evaluations of a run that was stopped in its last one"; }

# ---- its checkpoint is gone: what comes is the best again ----
ASVR_FAULT='*:9:forward:kill' says 137 0 train "$config" "${small[@]}" "${evals[@]}" --set run.dir=gone
rm -r gone/ckpt/$(best gone)
says 0 0 train "$config" "${small[@]}" "${evals[@]}" --set run.dir=gone
says 0 0 verify gone/ckpt/best

# ---- what cannot be ----
says 78 2 train "$config" "${small[@]}" --set run.dir=none --set ckpt.best=mean
blames 'ckpt.best' 'eval.every = 0'
says 0 0 pack "$config" "${small[@]}" --set data.val_samples=0 --set data.set=none/index.set
says 65 2 train "$config" "${small[@]}" "${evals[@]}" --set run.dir=none --set data.set=none/index.set
blames 'no samples for evaluation'
says 0 0 plan "$config" "${small[@]}" --set eval.every=3
grep -q '^  evaluation  *[0-9]' out || { cat out; fail "plan does not know of evaluations"; }
