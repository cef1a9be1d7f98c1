# Questions of one's own: answer, choices and task in records of any source; which answers are right; what is broken.
. "$(dirname "$0")/tools.inc"
top=$(cd "$(dirname "$config")/.." && pwd)

# ---- the rules of launch/eval/judge.h ----
${CC:-cc} -std=c11 -D_GNU_SOURCE -I"$top" -DUTF8PROC_EXPORTS -o judged "$top"/tests/launch/judged.c "$top"/launch/eval/judge.c "$top"/core/base.c \
    $(pkg-config --cflags --libs jansson libutf8proc)
./judged >judged.out <<'CASES' || { cat judged.out; fail "answers are judged otherwise"; }
+cat||cat
+cat||  Cat  .
+a cat||A	cat
-cat||a cat
-cat||
+cat;kitten||Kitten
+Straße||STRASSE
+3||3.0
+1,000||1000
+1000||1,000.
-1000||1,00
-3||3 cats
+-2.50||-2.5
-1.2.3||1.2
+...||...
+B|A=a cat;B=a dog|B
+B|A=a cat;B=a dog|b.
+B|A=a cat;B=a dog|(B)
+B|A=a cat;B=a dog|B) a dog
+B|A=a cat;B=a dog|B. a dog, since it barks
+B|A=a cat;B=a dog|b) that
+B|A=a cat;B=a dog|The answer is B.
+B|A=a cat;B=a dog|Answer: (b)
+B|A=a cat;B=a dog|I would choose option B
+B|A=a cat;B=a dog|A DOG.
-B|A=a cat;B=a dog|a cat
-B|A=a cat;B=a dog|A dog barks
-B|A=a cat;B=a dog|The answer is a dog
-B|A=a cat;B=a dog|A
-B|A=a cat;B=a dog|Both
-B|A=a cat;B=a dog|
-B|A=a cat;B=a dog|C
+A;B|A=a cat;B=a dog;C=none|b
+B|A=3;B=4|4.0
+A|A=B;B=A|A
+A|A=A.B;B=1|A.B
CASES

# ---- 48 pictures of three colours; every third record asks freely, with choices, or not at all ----
mkdir own folder tar
for c in "red 220 30 30" "green 30 190 40" "blue 30 50 220"; do
    set -- $c
    { printf 'P6 16 16 255\n'; yes "$(printf '\\%03o\\%03o\\%03o' $2 $3 $4)" | head -n 256 | tr -d '\n' | xargs -0 printf; } >$1.ppm
done
colours=(red green blue)
for i in $(seq -w 0 47); do
    colour=${colours[$((10#$i * 7 / 3 % 3))]}
    cp $colour.ppm own/$i.ppm
    case $((10#$i % 3)) in
    0) says='"question": "what colour is it?", "answer": ["'$colour'", "a '$colour'"], "task": "colour"' ;;
    1) says='"question": "which one?\n<image>", "choices": ["red", "green", "blue"], "answer": "'$colour'", "task": "choose"' ;;
    2) says='"conversations": [{"from": "human", "value": "<image>\nhello"}, {"from": "gpt", "value": "hi"}, {"from": "human", "value": "say its colour"},
             {"from": "gpt", "value": "it is '$colour' ."}]' ;;
    esac
    says=$(tr -d '\n' <<<"$says")
    echo "{\"id\": \"$i\", \"image\": \"$i.ppm\", $says}"
    echo "{$says}" >folder/$i.json
done >own.jsonl
cp own/*.ppm folder
for i in folder/*; do cp $i tar; done
tar cf own.tar -C tar --sort=name .
small+=(--set data.samples=0 --set data.val_samples=18 --set train.steps=30 --set train.lr=5e-3 --set run.dir=run --set chat.max_new=8)
llava=(--set data.source=llava --set data.json=own.jsonl --set data.images=own)
kind() { grep -a -o '"'"$1"'": *"[^"]*"' $2/index.set; }

says 0 2 pack "$config" "${small[@]}" "${llava[@]}"
grep -q '^held out .* 18 samples' out || { cat out; fail "not 18 held out"; }
kind tasks shards | grep -q '"choose,colour"' || { kind tasks shards; fail "the tasks are others"; }
says 0 0 pack "$config" "${small[@]}" "${llava[@]}" --set data.set=one/index.set
"$ASVR" verify one | head -1 >one.hash
"$ASVR" verify shards | head -1 | sed s/shards/one/ | diff - one.hash || fail "what is packed depends on the number of ranks"
for source in "webdataset --set data.json=own.tar" "folder --set data.images=folder"; do
    says 0 2 pack "$config" "${small[@]}" --set data.set=${source%% *}/index.set --set data.source=$source
    diff <(ls shards | grep h5 | sed 's/-[0-9a-f]*\.h5//') <(ls ${source%% *} | grep h5 | sed 's/-[0-9a-f]*\.h5//')
    diff <(cd shards && md5sum *.h5) <(cd ${source%% *} && md5sum *.h5) || fail "${source%% *} packs other shards"
done

# ---- accuracies, with a baseline each, on the samples that ask; the same file on 1, 2 and 3 ranks ----
says 0 2 train "$config" "${small[@]}" --set train.global_batch=8
for ranks in 0 2 3; do
    says 0 $ranks eval "$config" "${small[@]}"
    mv run/eval.json eval.$ranks
    cmp eval.$ranks eval.0 || { cat eval.$ranks eval.0; fail "eval.json of $ranks ranks is another"; }
done
asked=$(grep -o '"n": [0-9]*' eval.0 | awk '{ n += $2 } END { print n }')
grep -q "^$asked of the 18 samples ask a question with a known answer" out && [ "$asked" -gt 0 ] && [ "$asked" -lt 18 ] || { cat out; fail "$asked questions"; }
grep -q '"colour": {"accuracy": [0-9.]*, "baseline": 0*\.[0-9]*,' eval.0 && grep -q '"choose": {"accuracy"' eval.0 || { cat eval.0; fail "no accuracies"; }
grep -q "Answer with the option's letter from the given choices directly" out || { cat out; fail "the choices are not shown"; }
awk -F'[:,}]' '/"(colour|choose)"/ { a += $3; b += $5 } END { exit !(a > b) }' eval.0 || { cat eval.0; fail "nothing was learned"; }

# ---- a mix: the tasks of all sets, those of scenes and none among them ----
says 0 0 pack "$config" "${small[@]}" --set data.samples=8 --set data.val_samples=14 --set data.set=scenes/index.set
awk '!/"answer"/' own.jsonl >none.jsonl
says 0 0 pack "$config" "${small[@]}" "${llava[@]}" --set data.json=none.jsonl --set data.val_samples=4 --set data.set=none/index.set
says 0 2 eval "$config" "${small[@]}" --set data.set="none/index.set, shards/index.set, scenes/index.set"
grep -q "^step 30, 36 samples" out && [ "$(grep -c accuracy run/eval.json)" = 16 ] || { cat out; fail "a mix has other tasks"; }
diff <(grep '"colour"\|"choose"' eval.0 | tr -d ',}') <(grep '"colour"\|"choose"' run/eval.json | tr -d ',}') || fail "in a mix the accuracies are others"

# ---- a file of its own is held out ----
head -30 own.jsonl >train.jsonl && tail -18 own.jsonl >val.jsonl
apart=(--set data.val_samples=0 --set data.json=train.jsonl --set data.val_json=val.jsonl --set data.set=apart/index.set)
says 0 2 pack "$config" "${small[@]}" "${llava[@]}" "${apart[@]}"
grep -q '^training .* 30 samples' out && grep -q '^held out .* 18 samples' out || { cat out; fail "data.val_json holds out others"; }
says 78 0 pack "$config" "${small[@]}" "${llava[@]}" "${apart[@]}" --set data.val_samples=3
blames 'data.val_json holds out its records'

# Held-out samples may be larger than any that is trained on: the run makes room, and its losses stay what they are.
{ cat val.jsonl; echo '{"images": ["00.ppm", "01.ppm", "02.ppm"], "question": "<image> or <image> , and which of all of these is <image> ?", "answer": "the red one"}'; } >large.jsonl
large=(--set data.val_samples=0 --set data.json=train.jsonl --set data.val_json=large.jsonl --set data.set=large/index.set --set train.steps=4 --set train.global_batch=8)
says 0 0 pack "$config" "${small[@]}" "${llava[@]}" "${large[@]}"
says 0 0 train "$config" "${small[@]}" "${large[@]}" --set run.dir=large0
says 0 2 train "$config" "${small[@]}" "${large[@]}" --set run.dir=large2 --set eval.every=2
same_losses large0 large2
[ "$(grep -c '"samples": 19,' large2/evals.jsonl)" = 2 ] || { cat large2/evals.jsonl; fail "not all were evaluated"; }

# ---- what is broken is named, or skipped ----
bad() {                                         # WHAT RECORD
    printf '{"question": "q?", "answer": "a"}\n{"question": "q?", %s}\n{"question": "q?", "answer": "a"}\n' "$2" >bad.jsonl
    set -- "$1" --set data.source=llava --set data.json=bad.jsonl --set data.val_samples=1 --set data.set=bad/index.set
    says 65 2 pack "$config" "${small[@]}" "${@:2}"
    blames "$1" 'bad.jsonl: record 1, byte'
    says 0 2 pack "$config" "${small[@]}" "${@:2}" --set data.on_bad=skip
    grep -q '^skipped *1 bad' out || { cat out; fail "$1: not skipped"; }
}
bad 'among the choices' '"answer": "fish", "choices": ["cat", "dog"]'
bad 'one entry' '"answer": "A", "choices": ["cat"]'
bad '"answer" is no text' '"answer": {"a": 1}'
