# `asvr report`: every figure of the page is the log's; it is well-formed and fetches nothing, whatever names and logs hold; no spike is lost.
. "$(dirname "$0")/tools.inc"
${CC:-cc} -o htmlok "$(dirname "$config")/../tests/launch/htmlok.c"

report() { "$ASVR" report "$@" >out 2>err || { cat out err; fail "asvr report $*: exit $?"; }; [ ! -s err ] || { cat err; fail "asvr report $* complains"; }; }
whole() { ./htmlok "$1" || fail "$1 is no page"; iconv -f UTF-8 -t UTF-8 "$1" >/dev/null || fail "$1 is no UTF-8"; }
page() { report "$1"; whole "$1/report.html"; }
shows() { for text in "${@:2}"; do grep -qE -- "$text" "$1/report.html" || fail "the page of $1 does not show: $text"; done; }
# cells PAGE ROW: the words of the rows of tables that begin with ROW
cells() { sed 's/<svg.*<\/svg>//' "$1" | grep -F "<tr><th class=\"l\">$2</th>" | sed 's/&#8211;/-/g; s/<[^>]*>/ /g; s/  */ /g; s/^ *//'; }

# log RUN STEPS [AWK]: lines of run.jsonl, each with every key; AWK may change loss, restart, straggler and skipped of a step s.  Of many
# steps what is behind the loss comes again after 997.
log() {
    mkdir -p "$1"
    awk -v n="$2" 'BEGIN { srand(7); for (s = 1; s <= n; s++) {
        loss = sprintf("%.9g", 1 + 3 / s + 0.1 * rand()); restart = 0; straggler = "null"; time += 0.5 + (s == 4); '"${3:-}"'
        k = s % 997
        if (n < 997 || !(k in rest)) rest[k] = \
            sprintf("\"loss_text\": %.9g, \"loss_visual\": %.9g, \"loss_visual_depth\": [%.9g, %.9g], \"loss_hex\": \"0x1p+0\", ", 2 + rand(), 5 + rand(), 4 + rand(), 6 + rand()) \
            sprintf("\"code_usage\": [%.9g], \"code_perplexity\": [%.9g], \"code_restarts\": 0, \"grad_norm\": %.9g, ", rand(), 100 * rand(), exp(rand())) \
            sprintf("\"lr\": %.9g, \"skipped\": %d, \"tokens_per_s\": %.9g, \"samples_per_s\": %.9g, ", 1e-3 * s / n, skipped, 12800 * (1 + rand()), 16 + rand()) \
            sprintf("\"flops_share\": %.9g, \"t_step\": 0.5, \"t_data\": %.9g, \"t_forward\": 0.125, \"t_backward\": 0.2, ", 0.5 + 0.1 * rand(), 0.01 * rand()) \
            sprintf("\"t_reduce\": 0.05, \"t_optim\": 0.025, \"t_ckpt\": %d, \"rss_mb\": %.9g, \"straggler\": %s, \"restart\": %d, ", s == 4, 100 + s / 10, straggler, restart)
        printf "{\"step\": %d, \"time\": %.3f, \"samples\": %d, \"tokens\": 640, \"loss\": %s, %s\"world\": 2, \"dp\": 2, \"tp\": 1, \"threads\": 1, \"hash\": \"00000000\"}\n", s, 1.7e9 + time, 8 * s, loss, rest[k]
    } }' >"$1/run.jsonl"
}

KEYS="loss loss_text loss_visual grad_norm lr samples_per_s tokens_per_s flops_share t_step t_data t_forward t_backward t_reduce t_optim t_ckpt rss_mb"
# figures RUN [LOG'S RUN]: last, least and where, most and where, mean, and how many are not finite, to half a unit of the last digit shown
figures() {
    local key
    for key in $KEYS; do
        column "$key" "${2:-$1}" | awk -v shown="$(cells "$1/report.html" $key)" -v key=$key '
            function is(i, x,   digits) {
                digits = split(w[i], part, ".") > 1 ? length(part[2]) : 0
                if (w[i] - x > 0.500001 * 10 ^ -digits || x - w[i] > 0.500001 * 10 ^ -digits) { print key ": " w[i] " is shown, but it is " x; wrong = 1 }
            }
            $2 == "null" { bad++; last = "-"; next }
            { last = $2; sum += $2; n++ }
            n == 1 || $2 < least { least = $2; at_least = $1 }
            n == 1 || $2 > most { most = $2; at_most = $1 }
            END {
                if (split(shown, w, " ") < 7) { print key ": no figures"; exit 1 }
                if (last == "-" && w[2] != "-") { print key ": the last is none"; wrong = 1 }
                if (last != "-") is(2, last)
                is(3, least); is(4, at_least); is(5, most); is(6, at_most); is(7, sum / n); if (bad + 0 != w[8] + 0) { print key ": " w[8] " not finite, not " bad; wrong = 1 }
                exit wrong
            }' || fail "the figures of $1 are not those of the log"
    done
}

# ---- lives, a loss that is not finite, skipped steps, a straggler ----
log a 30 'if (s > 10) restart = 1; if (s > 20) restart = 2; if (s == 7 || s == 30) loss = "null"; skipped = s >= 7 && s <= 10 ? 1 : s >= 25 ? 2 : 0; if (s > 11 && s < 15) straggler = "{\"rank\": 1, \"host\": \"n<8>&\", \"seconds\": 1.25, \"collective\": null}";'
"$ASVR" help config "$config" --set train.steps=30 >a/config.cfg
page a
figures a
[ "$(cells a/report.html 'loss_visual_depth\[0\]' | wc -w)" = 0 ] && [ "$(cells a/report.html 'loss_visual_depth[1]' | wc -w)" = 7 ] || fail "no figures of depths"
shows a 'life 2 begins at step 11' 'life 3 begins at step 21' '<dt>step</dt><dd>30</dd><p>of 30, 100.0 %' '<dt>skipped steps</dt><dd>3</dd><p>2 with no finite loss' '<dt>lives</dt><dd>3' \
    'not finite: 2 ' 'n&#60;8&#62;&#38;</td><td class="l">others wait for it</td><td>3</td><td>12</td><td>14</td><td>1.25 s' 'Visual loss by depth' 'Code perplexity' 'Gradient norm' 'Learning rate'
[ "$(grep -c '<svg class="plot"' a/report.html)" = 14 ] || fail "not 14 drawings"

# ---- shares of time: of the steps and the saves between them; of the run, as status has it ----
share() { cells a/report.html "$1" | grep -oE '[0-9.]+ %' | head -1 | cut -d' ' -f1; }
near() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a - b <= 0.0501 && b - a <= 0.0501) }' || fail "$3: $1 %, but $2 %"; }
near "$(share forward)" "$(awk 'BEGIN { print 100 * 30 * 0.125 / (30 * 0.5 + 1) }')" forward
near "$(share 'saving (ckpt)')" "$(awk 'BEGIN { print 100 / (30 * 0.5 + 1) }')" saves
near "$(share 'waiting for data')" "$(column t_data a | awk '{ s += $2 } END { print 100 * s / 16 }')" data
near "$(share 'steps that count (effective training time)')" "$("$ASVR" status a --json | sed 's/.*"effective": \([0-9.]*\).*/\1/' | awk '{ print 100 * $1 }')" "effective training time"

# ---- a cut last line, a step that is there twice, a line that is none, older versions, nothing at all ----
cp -r a torn
{ sed -n 5p a/run.jsonl; echo nothing; printf '{"step": 31, "time": 1700000099, "loss": 99'; } >>torn/run.jsonl
page torn
figures torn a
shows torn '2 lines of run.jsonl or lives.jsonl could not be read, or repeat a step'
mkdir old empty
sed 's/"loss_visual_depth".*"grad_norm"/"grad_norm"/; s/"t_ckpt": [^,]*, //; s/"straggler": null, //; s/, "hash".*/}/' a/run.jsonl >old/run.jsonl
page old
! grep -q 'by depth' old/report.html || fail "depths of a run that has none"
[ "$(cells old/report.html t_ckpt)" = "" ] && [ "$(cells old/report.html lr)" = "$(cells a/report.html lr)" ] || fail "the figures of an older version's lines"
>empty/run.jsonl
page empty
shows empty 'No step has been logged'
sed -i 's/"loss": [^,]*/"loss": null/; s/"grad_norm": [^,]*/"grad_norm": null/' old/run.jsonl
page old
for n in 1 2; do
    log few $n
    page few
    figures few
done

# ---- 100,000 steps: small, and the least and the most of the loss are in the drawing ----
log long 100000 'if (s == 54321) loss = 1234.5; if (s == 77777) loss = 0.001;'
page long
[ "$(size long/report.html)" -lt 2000000 ] || fail "the page of 100,000 steps has $(size long/report.html) bytes"
cells long/report.html loss | grep -qE '^loss [0-9.]+ 0\.0010* 77777 1234\.50* 54321 ' || fail "the figures of 100,000 steps: $(cells long/report.html loss)"
ends=$(grep -o '<svg class="plot".*' long/report.html | head -1 | sed 's/.*data-y="\([^"]*\)" data-log="1".*/\1/')
grep -m1 '^<path class="b ' long/report.html | grep -oE '[Ml]-?[0-9]*\.?[0-9]+ ?-?[0-9]*\.?[0-9]+' | sed -E 's/^(.)(-?[0-9]*\.?[0-9]+) ?(-?[0-9]*\.?[0-9]+)$/\1 \2 \3/' |
    awk -v ends="$ends" '$1 == "M" { y = 0 } { y += $3; if (NR == 1 || y < top) top = y; if (NR == 1 || y > low) low = y }
        function value(y) { return e[1] * (e[2] / e[1]) ^ (1 - (y - 10) / 196) }
        END { split(ends, e, " "); a = value(top) / 1234.5; b = value(low) / 0.001; print value(top), value(low)
              exit !(a > 0.99 && a < 1.01 && b > 0.99 && b < 1.01) }' >drawn || fail "of 1234.5 and 0.001 are drawn: $(cat drawn)"     # a tenth of a pixel is 0.7 %

# ---- names that would be markup ----
evil='<script>alert(1)</script>&amp;"'"'"
name=$(printf 'x<b>&"'"'"'\001\377\302')
cp -r a "$name"
sed -i 's|^\( *\)dir = .*|\1dir = "<script>\&amp;</b>";|' "$name/config.cfg"
json=${evil//\"/\\\"}
echo "{\"event\": \"start\", \"time\": 1699999999, \"life\": \"1\", \"host\": \"$json\", \"job\": \"$json\", \"nodes\": [\"$json\"], \"ranks\": 2, \"tp\": 1, \"dp\": 2, \"threads\": 1}
{\"event\": \"resume\", \"time\": 1700000000, \"life\": \"1\", \"step\": 0, \"steps\": 30, \"count\": 0}
{\"event\": \"watch\", \"time\": 1700000020, \"life\": \"1\", \"by\": 0, \"rank\": 1, \"host\": \"$json\", \"collective\": \"x\", \"why\": \"$json\"}
{\"event\": \"end\", \"time\": 1700000030, \"life\": \"1\", \"code\": 70, \"step\": 30, \"saved\": 30, \"worked\": 1700000015, \"why\": \"$json\", \"where\": \"$json\"}" >"$name/lives.jsonl"
echo "{\"step\": 30, \"loss_text\": 1.5, \"mean\": 0.5, \"tasks\": {\"$json\": {\"accuracy\": 0.75, \"baseline\": 0.25, \"n\": 8}, \"none\": {\"accuracy\": null}}}" >"$name/eval.json"
echo "{\"sets\": [{\"set\": \"$json\", \"samples\": 48}]}" >"$name/data.json"
page "$name"
[ "$(grep -c '<script' "$name/report.html")" = 1 ] && ! grep -q 'alert(1)</script>&amp' "$name/report.html" || fail "a name became markup"
for what in '75.0 %' '25.0 %' '48</b>'; do grep -qF "$what" "$name/report.html" || fail "the page does not show $what"; done
echo '[1]' >"$name/eval.json"
echo '{"sets": {"x": [1]}}' >"$name/data.json"
echo '}; }; {{ = ; a = ; : { x: {' >"$name/config.cfg"
page "$name"

# ---- benchmarks: of a table and a step what was found last; the newest score beside the best checkpoint's; curves where there are several steps ----
score() { printf '{"step": %d, "time": 1700000000.5, "weights": "00", "benchmarks": {%s}}\n' "$@"; }
one() { printf '"%s": {"kind": "word", "score": %s, "of": "%s", "n": 48}' "$@"; }
{ score 20 "$(one POPE 0.5 accuracy), $(one "$json" 0.25 "<b>")"; score 30 "$(one POPE 0.625 accuracy)"; printf '{"step": 99, "benchm\n'; score 10 "$(one POPE 0.75 accuracy)"
  score 20 "$(one POPE 0.375 accuracy)"; score 30 "$(one None null accuracy)"; printf '{"step": 40, "benchmarks"'; } >"$name/benchmarks.jsonl"
# points PAGE TITLE: steps and values at the corners of the curves of a drawing, each read back from its path
points() {
    sed -n "/<b>$2/,/<\/svg>/p" "$1" | awk '/data-x/ { split($0, w, "\""); for (i in w) { if (w[i] ~ /data-x=$/) split(w[i + 1], X, " "); if (w[i] ~ /data-y=$/) split(w[i + 1], Y, " ") } }
        /class="m .* d="M/ { sub(/.* d="/, ""); x = y = 0
            while (match($0, /^[Ml]-?[0-9]*\.?[0-9]+ ?-?[0-9]*\.?[0-9]+/)) {
                k = substr($0, 1, 1); t = substr($0, 2, RLENGTH - 1); $0 = substr($0, RLENGTH + 1); match(t, /^-?[0-9]*\.?[0-9]+/)
                if (k == "M") x = y = 0
                x += substr(t, 1, RLENGTH); y += substr(t, RLENGTH + 1)
                printf "%.0f:%.3f ", X[1] + (X[2] - X[1]) * (x - 52) / 456, Y[1] + (Y[2] - Y[1]) * (1 - (y - 10) / 196) } }'
}
page "$name"
[ "$(cells "$name/report.html" POPE)" = "POPE accuracy 62.5 % 30 " ] && grep -q '>25.0 %</td><td class="at">20<' "$name/report.html" || { cells "$name/report.html" POPE; fail "not the newest scores"; }
grep -q '<th class="l">mean</th><td class="l at">of all 2</td><td>43.8 %<' "$name/report.html" && ! grep -q '>None<' "$name/report.html" || fail "the mean is another"
[ "$(grep -c '<b>Benchmark: ' "$name/report.html")" = 1 ] && [ "$(points "$name/report.html" 'Benchmark: POPE')" = "10:0.750 20:0.375 30:0.625 " ] || fail "drawn is $(points "$name/report.html" 'Benchmark: POPE')"
mkdir -p "$name/ckpt/step-00000020" && touch "$name/ckpt/step-00000020/manifest.json" && ln -s step-00000020 "$name/ckpt/best"
echo '{"step": 20, "loss": 1, "mean": 0.25, "tasks": {"held": {"accuracy": 0.25}}}' >"$name/evals.jsonl"
echo '{"step": 30, "loss_text": null, "loss_visual": null, "mean": null, "tasks": {}, "benchmarks": {"POPE": {"score": 0.625}}}' >"$name/eval.json"
report a "$name" --out=both.html
whole both.html
[ "$(cells both.html POPE)" = "POPE accuracy 62.5 % 30 37.5 % 20 &#9733; " ] || { cells both.html POPE; fail "the best checkpoint is not beside the newest, or a run without scores is"; }
cells both.html held | grep -q '^held 25.0 % ' || fail "what benchmarks took the place of is not taken from evals.jsonl"

# ---- runs of very different lengths: what they share is drawn twice, to where the shorter one ends, too ----
log near 240
log far 241
report a near --out=both.html
! grep -q 'name="view"\|class="card w' both.html || fail "an eighth is squeezed"
log brief 3
report a far brief --out=both.html
whole both.html
[ "$(sed -n 's/.*\(all 241 steps\|the first [0-9]*, where \).*/\1/p' both.html | tr '\n' ' ')" = "all 241 steps the first 30, where  the first 3, where  " ] || fail "not three views"
for w in 'w0 1 241' 'w1 1 30' 'w2 1 3'; do
    set -- $w
    [ "$(grep -A2 "class=\"card $1\"><figcaption><b>Loss<" both.html | sed -n 's/.*data-x="\([^"]*\)".*/\1/p')" = "$2 $3" ] || fail "the view $1 is another"
    [ "$(grep -c "class=\"card $1\"" both.html)" = 10 ] || fail "$(grep -c "class=\"card $1\"" both.html) drawings in the view $1"
done
[ "$(grep -c '<svg class="plot"' both.html)" = $((3 * 10 + 3 * 4)) ] || fail "$(grep -c '<svg class="plot"' both.html) drawings, those of each run alone among them"

# ---- several runs: one page, one drawing for all, what differs ----
log b 20
"$ASVR" help config "$config" --set train.steps=30 --set train.lr=0.5 --set run.dir=elsewhere >b/config.cfg
report a b "$name" --out=all.html
whole all.html
[ "$(grep '<path class="m c' all.html | grep -c 'data-n="b"')" = 10 ] || fail "b has not 10 curves"
sed -n '/What differs/,/<\/table>/p' all.html | grep -oE '<th class="l key">[^<]*' | sed 's/.*>//' | LC_ALL=C sort >keys
printf 'run.dir\ntrain.lr\n' | diff - keys || fail "what differs is something else"
report a/ ./b a
whole a/report.html

# ---- a real run, under way and done, with its pictures ----
small+=(--set train.steps=20)
says 0 1 pack "$config" "${small[@]}"
begin 0 train "$config" "${small[@]}" --set run.dir=run
at_step 3 run
page run
shows run '<span class="pill running">running</span>'
ended 0
says 0 0 eval "$config" "${small[@]}" --set run.dir=run
page run
figures run
shows run '<span class="pill ended">ended</span> done' '<dt>step</dt><dd>20</dd><p>of 20, 100.0 %' 'What is not the default' 'class="fact">samples <b>'
grep -qF "base64,$(base64 -w0 run/eval.png)\"" run/report.html || fail "the pictures are not in the page"
for task in $(grep -oE '^  "[a-z_]+": \{"acc' run/eval.json | cut -d'"' -f2); do
    accuracy=$(grep -F "\"$task\": {\"acc" run/eval.json | sed 's/.*accuracy": \([0-9.]*\).*/\1/')
    cells run/report.html "$task" | grep -qF " $(awk -v a="$accuracy" 'BEGIN { printf "%.1f", 100 * a }') %" || fail "$task: not $accuracy"
done

# ---- exit codes; an older page stays where none can be made ----
says 64 0 report
says 64 0 report a --out=
says 64 0 report a --ou=x
says 64 0 report a --set x=y
mkdir none
for what in none nowhere a/run.jsonl; do
    rm -f half.html
    says 65 0 report a $what --out=half.html
    blames $what "a run's folder"
    [ ! -e half.html ] || fail "a page, though a run is none"
done
says 74 0 report a --out=nowhere/x.html
mkdir taken
>taken/x
says 74 0 report a --out=taken
[ -z "$(find . -name '.tmp-*')" ] || fail "a temporary file is left"
rm -r none && mkdir -p none/run.jsonl
says 74 0 report none
