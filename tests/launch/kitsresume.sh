# A table of a thousand questions: killed on two ranks, it goes on where it was on one, and its answers are those of a run that nobody disturbed.
here=$(cd "$(dirname "$0")/.." && pwd)
. "$here/launch/tools.inc"
small+=(--set run.dir=run --set chat.max_new=32)

says 0 2 pack "$config" "${small[@]}"
says 0 2 train "$config" "${small[@]}"
cp -r run whole
{
    printf 'index\timage\tquestion\tanswer\n'
    for i in 1 2 3 4 5 6 7; do printf '%d\t%s\tIs it %d?\tYes\n' "$i" "$({ printf 'P6 8 8 255\n'; head -c 192 /dev/zero | tr '\0' "$i"; } | base64 -w0)" "$i"; done
    for i in $(seq 8 1000); do printf '%d\t%d\tIs it %d?\tNo\n' "$i" $((i % 7 + 1)) "$i"; done
} >POPE.tsv
says 0 0 eval "$config" "${small[@]}" --set run.dir=whole --set eval.tsv=POPE.tsv
grep -q '^1000 answers in ' out || { cat out; fail "not a thousand answers"; }

begin 2 eval "$config" "${small[@]}" --set eval.tsv=POPE.tsv
for _ in $(seq 3000); do
    [ "$(cat run/eval/POPE/answers-0.jsonl 2>/dev/null | wc -l)" -lt 60 ] || break
    alive "$job" || { cat out err; fail "it ended before it could be killed"; }
    sleep 0.01
done
kill -9 $(ranks)
ended any
[ ! -e run/eval/POPE/prediction.tsv ] && [ ! -e run/eval.json ] || fail "an evaluation that was killed has left its results"
printf '{"row": 999, "predi' >>run/eval/POPE/answers-1.jsonl        # as a kill may leave a line
says 0 0 eval "$config" "${small[@]}" --set eval.tsv=POPE.tsv
had=$(sed -n 's/^POPE: pope, 1000 questions, \([0-9]*\) answered already$/\1/p' out)
made=$(sed -n 's/^\([0-9]*\) answers in .*/\1/p' out)
[ "${had:-0}" -ge 59 ] && [ "$had" -lt 1000 ] && [ $((had + made)) = 1000 ] || { cat out; fail "it did not go on where it was"; }
for f in prediction.tsv scores.json answers.jsonl from_log/pope.json; do cmp "whole/eval/POPE/$f" "run/eval/POPE/$f" || fail "$f is another one"; done
cmp whole/eval.json run/eval.json || fail "eval.json is another one"
[ "$(ls run/eval/POPE)" = "$(ls whole/eval/POPE)" ] || { ls run/eval/POPE; fail "something was left over"; }
