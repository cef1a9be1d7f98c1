# asvr eval over tables of the evaluation kits: every benchmark's scores are the kits' own (tests/golden/kits, written by tests/ref/kits.py);
# a folder of tables on one and on two ranks; kinds by columns and by word; pictures in lists, by index and in files; tables that are none.
here=$(cd "$(dirname "$0")/.." && pwd)
. "$here/launch/tools.inc"
golden=$here/golden/kits
small+=(--set run.dir=run)

# figures FILE: a figure a line, "lmms-eval.anls 0.5", of scores.json
figures() {
    awk '{ sub(/^ +/, "") }
        /^"[^"]*": \{/ { key = $0; sub(/^"/, "", key); sub(/": \{.*/, "", key); path[++n] = key "."; next }
        /^\}/ && n { n--; next }
        /": [-0-9]/ { key = $0; sub(/^"/, "", key); sub(/": .*/, "", key); x = $NF; sub(/,$/, "", x); p = ""; for (i = 1; i <= n; i++) p = p path[i]; print p key "\t" x }' "$1"
}

# ---- scores ----
says 0 0 eval "$config" "${small[@]}" --set eval.tsv="$golden" --set eval.predictions="$golden/answers"
[ ! -e run/eval.json ] && [ ! -s err ] || { cat err; fail "scoring answers of others has written eval.json, or complained"; }
grep -q '^AVG .*plain mean of the 14$' out || { cat out; fail "no mean of the paper's fourteen"; }
for f in "$golden"/*.scores; do
    name=$(basename "$f" .scores)
    figures "run/eval/$name/scores.json" >ours
    [ -s ours ] || fail "$name has no scores"
    sed 's/ \([^ ]*\)$/\t\1/' "$f" | awk -F'\t' -v name="$name" '
        NR == FNR { is[$1] = $2; next }
        { n++; d = is[$1] - $2; if (!($1 in is) || d > 1e-9 * ($2 > 1 ? $2 : 1) || -d > 1e-9 * ($2 > 1 ? $2 : 1)) if ($1 != "lmms-eval.mmmu_acc" || d > 6e-6 || -d > 6e-6) { print name, $1 ": " is[$1] ", the kit says " $2; bad = 1 } }
        END { exit bad || !n }' ours - || fail "$name is not scored as the kits do"
done
[ "$(ls -d run/eval/*/ | wc -l)" = 15 ] || fail "not fifteen tables"
# The table of the paper: as many columns as it has, in its order.
[ "$(sed -n '/^benchmark/,/^AVG/p' out | awk 'NR > 1 && NR < 16 { printf "%s ", $1 }')" = "TextVQA DocVQA OCRBench ChartQA MMBench MME SEED-Img GQA MMMU AI2D RealWorldQA MMVP HallusionBench POPE " ] || { cat out; fail "not the paper's order"; }
head -n 20 "$golden/answers/POPE.tsv" >cut.tsv
says 65 0 eval "$config" "${small[@]}" --set eval.tsv="$golden/POPE.tsv" --set eval.predictions=cut.tsv
blames 'no prediction for index "19"' cut.tsv
head -c -3 "$golden/answers/POPE.tsv" >cut.tsv
says 0 0 eval "$config" "${small[@]}" --set eval.tsv="$golden/POPE.tsv" --set eval.predictions=cut.tsv
grep -q '^asvr: warning: cut.tsv: the last line has no end' err || { cat err; fail "an answer that was cut is scored without a word"; }
says 78 0 eval "$config" "${small[@]}" --set eval.tsv="$golden" --set eval.predictions=cut.tsv
says 78 0 eval "$config" "${small[@]}" --set eval.predictions=cut.tsv
says 78 0 eval "$config" "${small[@]}" --set eval.tsv="$golden" --set eval.samples=5
blames eval.samples

# ---- questions to a model ----
says 0 2 pack "$config" "${small[@]}"
says 0 2 train "$config" "${small[@]}"
mkdir bench two
cp "$golden"/{MMBench_DEV_EN,MMMU_DEV_VAL,POPE,TextVQA_VAL}.tsv bench
says 0 0 eval "$config" "${small[@]}" --set eval.tsv=bench
[ ! -s err ] || { cat err; fail "eval complained"; }
grep -q 'plain mean of 4 of the paper.s 14 benchmarks; there is no score of DocVQA, OCRBench' out || { cat out; fail "what is missing is not said"; }
grep -q '"benchmarks": {' run/eval.json && grep -q '"tasks": {}' run/eval.json || { cat run/eval.json; fail "eval.json"; }
[ "$(head -n 1 run/eval/POPE/prediction.tsv)" = "$(head -n 1 bench/POPE.tsv | sed 's/\timage//')	prediction" ] || fail "prediction.tsv has not the table's columns"
cp -r run/eval one
says 0 0 eval "$config" "${small[@]}" --set eval.tsv=bench
[ "$(grep -c '48 questions, 48 answered already$' out)" = 4 ] || { cat out; fail "what was answered is asked again"; }
# A line a call, with what scores.json says; behind one that a crash cut; two calls at once leave both; for TensorBoard, of each table and step the last.
[ "$(wc -l <run/benchmarks.jsonl)" = 2 ] && [ "$(sed 's/"time": [^,]*, //' run/benchmarks.jsonl | sort -u | wc -l)" = 1 ] || { cat run/benchmarks.jsonl; fail "two calls are not two lines of the same"; }
"$ASVR" report run >said || fail "no report"
for t in MMBench_DEV_EN MMMU_DEV_VAL POPE TextVQA_VAL; do
    x=$(awk '/^"score"/ { sub(/,$/, ""); print $2 }' <(sed 's/^{//; s/^ *//' run/eval/$t/scores.json))
    grep -q "\"$t\": {\"kind\": \"[a-z]*\", \"score\": $x, " run/benchmarks.jsonl || { cat run/benchmarks.jsonl; fail "$t: the score is not $x"; }
    grep -q "<th class=\"l\">$t</th>.*<td>$(awk -v x="$x" 'BEGIN { printf "%.1f", 100 * x }') %</td><td class=\"at\">6</td>" run/report.html || fail "$t: the report has not $x"
done
printf '{"step": 6, "ti' >>run/benchmarks.jsonl
for t in POPE TextVQA_VAL; do
    "$ASVR" eval "$config" "${small[@]}" --set eval.tsv=bench/$t.tsv --set run.tensorboard=true >said.$t 2>&1 &
    both+=($!)
done
wait ${both[0]} && wait ${both[1]} || { cat said.*; fail "two at once"; }
[ "$(grep -c '^{"step": 6, "time": .*}}}$' run/benchmarks.jsonl)" = 4 ] || { cat run/benchmarks.jsonl; fail "two calls at once are not two lines"; }
last=$(ls run/tensorboard/benchmarks/events.out.tfevents.* | tail -1)
for t in MMBench_DEV_EN MMMU_DEV_VAL POPE TextVQA_VAL; do
    [ "$(grep -ao "benchmark/$t" "$last" | wc -l)" = 1 ] || fail "$t is not once in $last"
done
mv run/benchmarks.jsonl lines && mkdir run/benchmarks.jsonl
says 74 0 eval "$config" "${small[@]}" --set eval.tsv=bench/POPE.tsv
blames run/benchmarks.jsonl
rmdir run/benchmarks.jsonl && mv lines run/benchmarks.jsonl
# A split whose answers its makers keep.
cut -f 1-2,4- bench/TextVQA_VAL.tsv >TextVQA_TEST.tsv
head -n 1 TextVQA_TEST.tsv | grep -q answer && fail "cut the wrong column"
says 0 0 eval "$config" "${small[@]}" --set eval.tsv=TextVQA_TEST.tsv
grep -q '^TextVQA .* -  .*answers are not in the table' out && grep -q '"score": null' run/eval/TextVQA_TEST/scores.json || { cat out; fail "a table without answers"; }
# Other weights, or another way to ask, are other answers.
says 0 0 eval "$config" "${small[@]}" --set eval.tsv=bench/POPE.tsv --set data.system=Hello
grep -q '48 answers of other weights, table or prompts dropped$' out || { cat out; fail "answers of another prompt are taken"; }
rm -r run/eval
says 0 2 eval "$config" "${small[@]}" --set eval.tsv=bench --set eval.batch=3
for t in MMBench_DEV_EN MMMU_DEV_VAL POPE TextVQA_VAL; do
    for f in prediction.tsv scores.json answers.jsonl; do cmp "one/$t/$f" "run/eval/$t/$f" || fail "$t: two ranks have another $f"; done
done
rm -r run/eval/POPE
says 0 2 eval "$config" "${small[@]}" --set eval.tsv=bench/POPE.tsv --set parallel.tp=2
grep -q '^48 answers in ' out && cmp one/POPE/prediction.tsv run/eval/POPE/prediction.tsv || fail "two tensor-parallel ranks answer otherwise"
# What eval says of shards stays.
says 0 0 eval "$config" "${small[@]}"
says 0 0 eval "$config" "${small[@]}" --set eval.tsv=bench/POPE.tsv
grep -q '"count": {' run/eval.json && grep -q '"POPE": {' run/eval.json || { cat run/eval.json; fail "eval.json has lost a group"; }

# ---- tables ----
pic() { { printf 'P6 8 8 255\n'; head -c 192 /dev/zero | tr '\0' "$1"; } | base64 -w0; }
tab() { printf '%s\t%s\t%s\t%s\n' "$@"; }
{ tab index image question answer; tab 1 "['$(pic 1)', '$(pic 2)']" "Which?" yes; tab 2 1 $'"a ""quoted""\n line"' no; tab 3 '' 'no picture' no; tab 4 "data:image/ppm;base64,$(pic 3)" '<image> what is <image>?' no; } >own.tsv
says 0 0 eval "$config" "${small[@]}" --set eval.tsv=own.tsv
grep -q '^own: yesno, 3 questions (1 rows have no picture)' out || { cat out; fail "a table of yes and no is not told by its answers"; }
says 0 0 eval "$config" "${small[@]}" --set eval.tsv=own.tsv --set eval.kind=word
grep -q '^own: word, ' out || { cat out; fail "eval.kind is not taken"; }
# Every word of eval.kind, on a table that is none of it.
printf 'index\tprediction\n1\tyes\n2\tA\n4\t\n' >said.tsv
words=$("$ASVR" help options | sed -n '/^eval.kind = /,/^    [a-z]/p' | sed 's/.*"auto" auto//; /^    [a-z]/d' | tr -d '|\n')
[ "$(wc -w <<<"$words")" = 18 ] || fail "not eighteen words of eval.kind: $words"
for word in $words; do
    says 0 0 eval "$config" "${small[@]}" --set eval.tsv=own.tsv --set eval.predictions=said.tsv --set eval.kind="$word"
    grep -q "\"kind\": \"$word\"" run/eval/own/scores.json && grep -q '"n": 3' run/eval/own/scores.json || { cat run/eval/own/scores.json; fail "eval.kind=$word is another kind"; }
done
for other in MME-RealWorld OCRBench_v2 ChartQAPro; do
    cp own.tsv $other.tsv
    says 0 0 eval "$config" "${small[@]}" --set eval.tsv=$other.tsv
    grep -q "^$other: yesno, " out || { cat out; fail "$other is taken for another benchmark"; }
done
mkdir files && base64 -d <<<"$(pic 4)" >files/a.ppm
{ printf '\xef\xbb\xbf'; printf 'index\timage_path\tquestion\tA\tB\tanswer\r\n7\ta.ppm\tWhat?\tred\tblue\tA\r\n\r\n'; } >files/f.tsv
says 0 0 eval "$config" "${small[@]}" --set eval.tsv=files/f.tsv
grep -q '^f: choice, 1 questions' out || { cat out; fail "a table with paths"; }
# bad TEXT...: what stands in x.tsv is refused, without a model's time, and each TEXT is said
bad() { says 65 0 eval "$config" "${small[@]}" --set eval.tsv=x.tsv; blames x.tsv "$@"; }
: >x.tsv; bad 'the table is empty'
{ tab index image question answer; } >x.tsv; bad 'without a question'
{ tab id image question answer; } >x.tsv; bad 'a column is missing' 'a column index'
{ tab index image question answer; tab 1 "$(pic 1)" 'a' b; tab 1 "$(pic 1)" 'a' b; } >x.tsv; bad "row 1's already" 'row 2, column "index"'
{ tab index image question answer; printf '1\t%s\ta\n' "$(pic 1)"; } >x.tsv; bad 'too few fields' 'row 1' '4 fields'
{ tab index image question answer; printf '1\t%s\ta\tb\tc\n' "$(pic 1)"; } >x.tsv; bad 'too many fields'
{ tab index image question answer; printf '1\t%s\t"a\tb\n' "$(pic 1)"; } >x.tsv; bad 'no end' 'byte'
{ tab index image question answer; tab 1 9 a b; } >x.tsv; bad "no row's index" 'column "image"' '"9"'
{ tab index image question answer; tab 1 "$(pic 1 | tr A '!')" a b; } >x.tsv; bad 'no base64' 'row 1, column "image"'
{ tab index image question answer; tab 1 "$(pic 1 | head -c 80)" a b; } >x.tsv; bad 'row 1, column "image"'
{ tab index image question answer; tab 1 "['$(pic 1)'" a b; } >x.tsv; bad 'a list of pictures'
{ tab index image question answer; tab 1 "$(pic 1)" $'\xff' b; } >x.tsv; bad 'no UTF-8' 'column "question"'
{ tab index image question answer; tab 1 "$(pic 1)" a b; printf '\0'; } >x.tsv; bad 'a byte 0'
{ tab index image_path question answer; tab 1 ../run/config.cfg a b; } >x.tsv; bad 'no such picture' ../run/config.cfg
rm x.tsv; says 74 0 eval "$config" "${small[@]}" --set eval.tsv=x.tsv; blames x.tsv
mkdir empty; says 65 0 eval "$config" "${small[@]}" --set eval.tsv=empty; blames 'no *.tsv'
says 65 2 eval "$config" "${small[@]}" --set eval.tsv=empty
says 78 0 eval "$config" "${small[@]}" --set eval.tsv=own.tsv --set data.template=plain
blames 'asks no questions'
