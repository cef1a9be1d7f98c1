# chat without a picture, with one, with several; lines that cannot be answered cost those lines; pictures inside turns, from
# pack to chat; data.template = "auto".
here=$(cd "$(dirname "$0")/.." && pwd)
. "$here/launch/tools.inc"
small+=(--set data.samples=24 --set train.steps=2 --set chat.max_new=4)

# ---- pictures inside turns, in turns behind the first, and marks that are text ----
for i in 1 2 3; do printf 'P6 8 8 255\n%s' "$(head -c 192 /dev/zero | tr '\0' "$i")" >$i.ppm; done
cat >own.json <<'J'
[ {"id": "a", "image": ["1.ppm", "2.ppm"], "conversations": [{"from": "human", "value": "is <image> as red as\n<image>\nthat?"}, {"from": "gpt", "value": "yes ."}]},
  {"id": "b", "image": ["1.ppm", "3.ppm"], "conversations": [{"from": "human", "value": "what?\n<image>"}, {"from": "gpt", "value": "red ."},
                                                            {"from": "human", "value": "and this?\n<image>"}, {"from": "gpt", "value": "blue ."}]},
  {"id": "c", "conversations": [{"from": "human", "value": "what does <image> mean?"}, {"from": "gpt", "value": "a picture ."}]},
  {"id": "d", "image": "2.ppm", "conversations": [{"from": "human", "value": "<image>\nwhat?"}, {"from": "gpt", "value": "red ."}]} ]
J
own=("${small[@]}" --set run.dir=run --set data.source=llava --set data.json=own.json --set data.images=. --set data.samples=0
     --set data.val_samples=1 --set train.global_batch=2 --set train.micro_batch=1)
says 0 2 pack "$config" "${own[@]}"
grep -q '^training  3 samples' out && [ ! -s err ] || { cat out err; fail "interleaved samples are not packed"; }
says 0 2 train "$config" "${own[@]}"
[ ! -s err ] || { cat err; fail "train complained"; }
says 0 0 eval "$config" "${own[@]}"
sed 's/is <image> as red as/is it as red as/' own.json >lacks.json
says 65 0 pack "$config" "${own[@]}" --set data.json=lacks.json --set data.set=lacks/index.set
blames 'does not match the pictures' '2 times "<image>"' 'record 0'

# ---- questions ----
talk() { says "$1" 0 chat "$config" "${own[@]}" "${@:2}"; }
talk 0 --set chat.question='what?'
[ ! -s err ] && [ "$(wc -l <out)" = 1 ] || { cat out err; fail "chat without a picture"; }
talk 0 --set chat.image=1.ppm --set chat.question='what is <image> here?'
talk 0 --set chat.image=1.ppm,2.ppm --set chat.question='is <image> as red as <image>?'
[ ! -s err ] && [ "$(wc -l <out)" = 1 ] || { cat out err; fail "chat about two pictures"; }
talk 65 --set chat.image=1.ppm,2.ppm --set chat.question='what is <image>?'
blames '2 times "<image>"'
talk 65 --set chat.image=1.ppm,4.ppm --set chat.question='what?'
blames 4.ppm

# A line that is too long for the reader, one too long for the model, and one with a mark too many; the last has no end.
{ echo what?; head -c 70000 /dev/zero | tr '\0' 'x'; printf '\nand?\n%s\nwhy <image> <image>?\nlast' "$(printf 'why %.0s' $(seq 600))"; } >lines
for ranks in 0 2; do
    says 0 $ranks chat "$config" "${own[@]}" --set chat.image=1.ppm --set parallel.tp=$((ranks ? 2 : 1)) <lines
    [ "$(grep -c '^asvr: error: ' err)" = 3 ] || { cat err; fail "not three complaints"; }
    for line in 2 4 5; do grep -q "^  where  *standard input, line $line\$" err || { cat err; fail "line $line is not named"; }; done
    [ "$(wc -l <out)" = 6 ] && [ "$(sed -n '2p; 4p; 5p' out | tr -d '\n')" = "" ] || { cat out; fail "not one line for each question"; }
done

# ---- auto: the chat template beside the text model ----
auto=(--set data.template=auto --set text.model=model/text.model --set data.set=auto/index.set)
mkdir model && cp text.model model/
says 78 0 pack "$config" "${own[@]}" "${auto[@]}"
blames 'has no chat template' 'set data.template'
cp "$here/fuzz/corpus/jinja/config" model/tokenizer_config.json         # what an export of ours would have
says 0 2 pack "$config" "${own[@]}" "${auto[@]}"
grep -q '^template  tekken' out || { cat out; fail "our own chat template is not recognised"; }
cp auto/index.set first.set
says 0 0 pack "$config" "${own[@]}" "${auto[@]}" --set data.template=tekken
cmp -s first.set auto/index.set || fail "auto packs something else than the template it finds"
echo '{"chat_template": "<|im_start|>{{ messages[0].content }}<|im_end|>"}' >model/tokenizer_config.json
says 78 0 chat "$config" "${own[@]}" "${auto[@]}" --set chat.question='what?'
blames 'chat template is unknown' '"chatml-bare"' tokenizer_config.json

# ---- lines that are commands, and talks ----
hot=(--set chat.temperature=2 --set chat.max_new=12)
lines() { says 0 0 chat "$config" "${own[@]}" "${hot[@]}" "$@" <lines; }
printf '%s\n' 'what?' '/image 1.ppm' 'is <image> red?' 'what?' '/nothing' '//x' '/image' '/image none.ppm' '/system Be brief.' 'what?' '/quit' 'what?' >lines
lines
[ "$(wc -l <out)" = 5 ] || { cat out err; fail "not one line for each question"; }
[ "$(sed -n 1p out)" = "$(sed -n 3p out)" ] && [ "$(sed -n 1p out)" != "$(sed -n 5p out)" ] || { cat out; fail "lines do not stand alone, or a system prompt changes nothing"; }
[ "$(grep -c '^asvr: error: ' err)" = 3 ] || { cat err; fail "not three complaints"; }
for line in 5 7 8; do grep -q "^  where  *standard input, line $line\$" err || { cat err; fail "line $line is not named"; }; done
grep -q '"/nothing"' err && grep -q 'written //' err || { cat err; fail "an unknown command is not named"; }

# In a talk a question depends on those before it, a picture on its turn; /new forgets; tp = 2 says the same.
printf '%s\n' 'what?' 'what?' '/image 1.ppm' '/image 3.ppm' 'is <image> as red as <image>?' '/new' 'what?' >lines
lines --set chat.talk=yes
cp out talked
[ "$(wc -l <out)" = 4 ] && [ ! -s err ] || { cat out err; fail "a talk of three turns and another"; }
[ "$(sed -n 1p out)" = "$(sed -n 4p out)" ] && [ "$(sed -n 1p out)" != "$(sed -n 2p out)" ] || { cat out; fail "turns stand alone, or /new forgets nothing"; }
says 0 2 chat "$config" "${own[@]}" "${hot[@]}" --set chat.talk=yes --set parallel.tp=2 <lines
cmp -s out talked || { diff out talked; fail "two ranks talk otherwise"; }
# One that no longer fits loses its first turns, and that is said.
seq 12 | sed "s/.*/$(printf 'why %.0s' $(seq 15))&?/" >lines
lines --set chat.talk=yes
[ "$(wc -l <out)" = 12 ] && grep -q 'warning: the talk no longer fits model.decoder.max_len = 320: its first [0-9]* question' err || { cat out err; fail "a long talk"; }

# ---- at a terminal ----
sees() { for _ in $(seq 600); do [ "$(tr -d '\r' <typescript 2>/dev/null | grep -cF -- "$2")" -lt "$1" ] || return 0; sleep 0.05; done; }        # so many lines with this
types() {
    sees 1 'asvr chat: '; printf 'what?\n/image 1.ppm\n'
    sees 1 'picture for the next'; printf '\003'
    sees 1 'once more'; printf '/new\nwhat?\n/quit\n'
}
rm -f typescript
# exec, in the shell that printf quotes for: whichever shell stood between would hear Ctrl-C too, and die of it at the end.
types | SHELL=$BASH script -qefc "exec $(printf '%q ' "$ASVR" chat "$config" "${own[@]}" "${hot[@]}")" typescript >/dev/null
tr -d '\r' <typescript >seen
for text in 'asvr chat: run, step 2; /help' '(1 picture for the next question)' '(once more, or Ctrl-D, ends' '(a new talk)' "$(sed -n 1p talked | cut -c1-12)"; do
    grep -qF -- "$text" seen || { cat seen; fail "a talk at a terminal does not show: $text"; }
done
[ "$(grep -c '^> ' seen)" -ge 3 ] || { cat seen; fail "no sign to type behind"; }
