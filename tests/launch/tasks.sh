# Evaluation shards with more tasks than any table would have foreseen, one of them with quotes in its name.
. "$(dirname "$0")/tools.inc"

small+=(--set run.dir=run --set train.steps=1)
says 0 0 pack "$config" "${small[@]}"
says 0 0 train "$config" "${small[@]}"
"${ASVR%/*}/tests/io/set/manytasks" shards/index.set many.h5
for ranks in 0 2; do
    says 0 $ranks eval "$config" "${small[@]}" --set data.set= --set data.val=many.h5
    [ "$(grep -vc "shards without an index" err)" = 0 ] || { cat err; fail "eval complained"; }
    [ "$(grep -c accuracy run/eval.json)" = 80 ] || { cat run/eval.json; fail "not 80 tasks"; }
    [ "$(grep -c '"n": 1}' run/eval.json)" = 14 ] || { cat run/eval.json; fail "not a question of each of 14 tasks"; }
    grep -qF '"say \"79\"": {"accuracy": ' run/eval.json || { tail -3 run/eval.json; fail "a name with quotes is not escaped"; }
    if command -v python3 >/dev/null; then python3 -m json.tool run/eval.json >/dev/null || fail "eval.json is no JSON"; fi
    cp run/eval.json $ranks.json
done
diff <(grep accuracy 0.json) <(grep accuracy 2.json) || fail "accuracies depend on the number of ranks"
grep -q '^say "79" ' out || { cat out; fail "the table lacks a task"; }
