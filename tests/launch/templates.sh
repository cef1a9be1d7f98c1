# Every template from pack to chat; system prompts; samples with nothing to learn are left out and named.
. "$(dirname "$0")/tools.inc"

small+=(--set data.samples=24 --set train.steps=3 --set eval.samples=4)
for template in llama2 mistral chatml llama3; do
    run=(--set run.dir=$template --set data.template=$template --set data.set=$template/index.set
         --set text.model=$template.model)
    says 0 2 pack "$config" "${small[@]}" "${run[@]}" --set data.system="Say one word."
    grep -q '^left out' out && { cat out; fail "$template: samples were left out"; }
    says 0 0 train "$config" "${small[@]}" "${run[@]}"
    [ ! -s err ] || { cat err; fail "$template: train complained"; }
    says 0 0 eval "$config" "${small[@]}" "${run[@]}"
    grep -q '"accuracy"' $template/eval.json || fail "$template: no question was asked"
    says 0 0 chat "$config" "${small[@]}" "${run[@]}" --set chat.image=$template/eval.png \
        --set chat.question="what is it?" --set chat.max_new=4
done
grep -aq '<|im_end|>' chatml.model && ! grep -aq '<|im_end|>' llama2.model || fail "the text models have other symbols than their templates need"
grep -aq "<|eot_id|>" llama3.model || fail "the text model lacks the marks of llama3"
cmp -s llama2/index.set mistral/index.set && fail "llama2 and mistral packed the same"
says 65 0 train "$config" "${small[@]}" --set run.dir=mixed --set data.set=chatml,mistral --set text.model=chatml.model

# ---- nothing to learn: an empty answer, none, and one behind more rows than the decoder takes ----
long=$(printf 'why %.0s' $(seq 600))
cat >own.json <<J
[ {"id": "a", "conversations": [{"from": "human", "value": "what?"}, {"from": "gpt", "value": "that ."}]},
  {"id": "b", "conversations": [{"from": "human", "value": "what?"}, {"from": "gpt", "value": " "}]},
  {"id": "c", "conversations": [{"from": "human", "value": "what?"}]},
  {"id": "d", "conversations": [{"from": "human", "value": "$long"}, {"from": "gpt", "value": "that ."}]},
  {"id": "e", "conversations": [{"from": "system", "value": "Say why."}, {"from": "human", "value": "what?"}, {"from": "gpt", "value": "that ."}]},
  {"id": "f", "conversations": [{"from": "human", "value": "what?"}, {"from": "gpt", "value": ""},
                                {"from": "human", "value": "what?"}, {"from": "gpt", "value": "this ."}]} ]
J
own=(--set run.dir=own --set data.source=llava --set data.json=own.json --set data.images=. --set data.samples=0 --set data.val_samples=0
     --set data.set=own/index.set --set text.model=own.model --set train.global_batch=2 --set train.micro_batch=2)
for ranks in 0 2; do
    says 0 $ranks pack "$config" "${small[@]}" "${own[@]}"
    grep -q '^training .* 3 samples, 0 pictures' out && grep -q '^left out  2 samples without an answer to learn, 1 with all answers beyond' out ||
        { cat out; fail "other numbers of samples"; }
    for record in 'sample 1 (record 1, id b) is left out: it has no answer' 'sample 2 (record 2, id c) is left out: it has no answer' \
                  'sample 3 (record 3, id d) is left out: its answers lie beyond'; do
        grep -qF "$record" err || { cat err; fail "not named: $record"; }
    done
done
# The tokenizer's stage reads no answers; with nothing else in the file there is nothing to pack.
says 0 0 pack "$config" "${small[@]}" "${own[@]}" --set train.stage=tokenizer --set data.set=all/index.set
grep -q '^training .* 6 samples' out || { cat out; fail "the tokenizer's samples need no answers"; }
sed -n '1s/^\[.*/[/p; 3p; 4s/,$/]/p' own.json >none.json
says 65 0 pack "$config" "${small[@]}" "${own[@]}" --set data.json=none.json --set data.set=none/index.set
blames "no sample of the source was usable"

# ---- a decoder too short for what was packed says so, once a sample, and goes on ----
short=$(printf 'why %.0s' $(seq 100))
sed "s/$long/$short/" own.json >short.json
own+=(--set data.json=short.json --set data.template=mistral)
says 0 0 pack "$config" "${small[@]}" "${own[@]}"
grep -q '^training .* 4 samples' out || { cat out; fail "the shorter question fits"; }
says 0 2 train "$config" "${small[@]}" "${own[@]}" --set model.decoder.max_len=66 --set train.steps=6 --set train.micro_batch=1
[ "$(grep -c 'sample 1 has no answer to learn within model.decoder.max_len = 66 rows' err)" = 1 ] && [ "$(wc -l <err)" = 1 ] ||
    { cat err; fail "not one warning of one sample"; }
