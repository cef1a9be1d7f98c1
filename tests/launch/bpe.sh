# A byte-level tokenizer.json from pack to chat: padded vocabulary, ChatML's marks as ids, another file refused, a missing one not trained.
. "$(dirname "$0")/tools.inc"

golden=$(dirname "$config")/../tests/golden
mkdir model
cp "$golden/bpe.json" model/tokenizer.json
echo '{"eos_token": "<|im_end|>", "bos_token": null}' >model/tokenizer_config.json
small+=(--set data.samples=24 --set train.steps=3 --set eval.samples=4 --set run.dir=bpe --set data.template=chatml --set data.set=bpe/index.set)
for ranks in 0 2; do
    says 0 $ranks pack "$config" "${small[@]}" --set text.model=model
    cp bpe/index.set index$ranks
done
cmp -s index0 index2 || fail "two ranks packed something else"
says 0 2 train "$config" "${small[@]}" --set text.model=model
[ ! -s err ] || { cat err; fail "train complained"; }
says 0 0 eval "$config" "${small[@]}" --set text.model=model
says 0 0 chat "$config" "${small[@]}" --set text.model=model/tokenizer.json --set chat.image=bpe/eval.png --set chat.question="what is it?" --set chat.max_new=4
# An export keeps the file and names what transformers 4 must not add to it.
says 0 0 export "$config" "${small[@]}" --set text.model=model --set export.from=bpe --set export.to=out-hf
grep -q '"model_input_names"' out-hf/tokenizer_config.json && grep -q '"image_token"' out-hf/tokenizer_config.json || fail "another tokenizer_config.json"
# One of characters, whose blank would stand behind each added token: it stands where prompts have it.
mkdir chars
sed 's/"normalizers": *\[\]/"normalizers":[{"type":"Prepend","prepend":"\xE2\x96\x81"},{"type":"Replace","pattern":{"String":" "},"content":"\xE2\x96\x81"}]/' \
    "$golden/bpe_chars.json" >chars/tokenizer.json
says 0 0 export "$config" "${small[@]}" --set text.model=chars --set export.from=bpe --set export.to=out-chars
grep -q '"prepend_scheme":"first"' out-chars/tokenizer.json && ! grep -q '"Prepend"' out-chars/tokenizer.json || fail "a blank behind each added token"
# BOS of the file's post-processor goes where prompts begin without one.
mkdir ends
echo '{"eos_token": "<|im_end|>", "bos_token": "<|im_end|>", "extra_special_tokens": ["<|im_start|>"]}' >ends/tokenizer_config.json
sed 's/"post_processor": *null/"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<|im_end|>"}},{"Sequence":{"id":"A"}}]}/' \
    "$golden/bpe.json" >ends/tokenizer.json
for template in plain chatml; do
    says 0 0 export "$config" "${small[@]}" --set data.template=$template --set text.model=ends --set export.from=bpe --set export.to=out-$template
done
grep -q TemplateProcessing out-plain/tokenizer.json && ! grep -q TemplateProcessing out-chatml/tokenizer.json || fail "BOS in front of ChatML"
grep -q '"additional_special_tokens"' out-plain/tokenizer_config.json || fail "a list that transformers 4 cannot read"

# ---- one merge less is another text model; so is another end of text ----
mkdir less
sed 's/^"merges":\["[^"]*",/"merges":[/' model/tokenizer.json >less/tokenizer.json
cp model/tokenizer_config.json less
cmp -s model/tokenizer.json less/tokenizer.json && fail "no merge was taken out"
says 65 0 train "$config" "${small[@]}" --set text.model=less
blames "packed with another text model"
cp model/tokenizer.json less
sed -i 's/"bos_token": null/"bos_token": "<|im_start|>"/' less/tokenizer_config.json
says 65 0 train "$config" "${small[@]}" --set text.model=less
blames "packed with another text model"

# ---- larger than the embedding; not there; not supported ----
says 78 0 pack "$config" "${small[@]}" --set text.model=model --set model.decoder.vocab=300
blames "larger than the vocabulary"
says 65 0 pack "$config" "${small[@]}" --set text.model=none/tokenizer.json
blames "no such text model"
[ ! -e none ] || fail "a vocabulary was trained in place of a missing tokenizer.json"
sed 's/"type":"BPE"/"type":"WordPiece"/' model/tokenizer.json >less/tokenizer.json
says 65 2 pack "$config" "${small[@]}" --set text.model=less
blames 'the model "WordPiece"'
