# A trained run out to Hugging Face's format and in again: our own layout, onto a base, as train.init.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/tools.inc"
. "$here/hffolder.inc"

keys=(--set parallel.threads=1 --set model.decoder.vocab=832)       # the text model has 768 pieces
says 0 0 pack "$config" "${small[@]}"
says 0 2 train "$config" "${small[@]}" "${keys[@]}" --set run.dir=first --set train.steps=2
says 0 2 export "$config" "${small[@]}" "${keys[@]}" --set export.from=first --set export.to=ours --set export.shard_mb=1
[ -f ours/model-00002-of-00002.safetensors ] && cmp -s ours/tokenizer.model text.model || fail "no shards, or no tokenizer"
grep -q '"vision_feature_layer": -1' ours/config.json && grep -q '"supervision": "semantic"' ours/config.json || fail "another config.json"
for f in generation_config preprocessor_config processor_config tokenizer tokenizer_config special_tokens_map; do
    [ -s ours/$f.json ] || fail "there is no $f.json"
done
grep -q '"image_token_index": 768' ours/config.json && grep -q '"id":768,"content":"<image>"' ours/tokenizer.json || fail "no id for <image>"
says 0 0 import "$config" "${keys[@]}" --set import.from=ours --set import.to=base
says 0 3 import "$config" "${keys[@]}" --set import.from=ours --set import.to=base-of-3
diff -r -x .lease base base-of-3 || fail "the number of ranks shows in an import"
rm -r base-of-3
says 65 0 import "$config" "${keys[@]}" --set import.from=missing --set import.to=none; blames 'no such folder'
says 0 0 export "$config" "${keys[@]}" --set export.from=base --set export.to=same
diff -r ours same || fail "our own layout comes back with other bytes"
says 0 0 export "$config" "${keys[@]}" --set export.from=first --set export.base=base --set export.to=onto
diff -r ours onto || fail "onto a base: other bytes"
says 0 0 export "$config" "${small[@]}" "${keys[@]}" --set export.from=first --set export.to=half --set export.dtype=bfloat16
grep -q '"torch_dtype": "bfloat16"' half/config.json || fail "another dtype"

# Where all rows are pieces, the files have 64 more, each the mean; the same ones on any number of ranks.
one=(--set run.dir=narrow --set train.steps=1 --set parallel.threads=1)
says 0 0 train "$config" "${small[@]}" "${one[@]}"
says 0 0 export "$config" "${small[@]}" "${one[@]}" --set export.from=narrow --set export.to=wide
says 0 2 export "$config" "${small[@]}" "${one[@]}" --set export.from=narrow --set export.to=wide2
diff -r wide wide2 || fail "the number of ranks shows in an export"
grep -q '"image_token_index": 768' wide/config.json && grep -q '"vocab_size": 832' wide/config.json || fail "no rows for <image>"
says 78 0 import "$config" --set import.from=wide --set import.to=nowhere; blames model.decoder.vocab '832'
says 0 0 import "$config" "${keys[@]}" --set import.from=wide --set import.to=base-wide
says 0 0 export "$config" "${keys[@]}" --set export.from=base-wide --set export.to=wide-again
diff -r wide wide-again || fail "the rows for <image> are lost"

# A base whose lm_head is its embedding cannot take a run that has two.
mkdir tied; weights F32; decoder model. 64; file tied/model.safetensors; printf "{\"model_type\": \"llama\", \"hidden_size\": 64, \"intermediate_size\": 128, \"num_hidden_layers\": 2, \"num_attention_heads\": 4, \"vocab_size\": 768, \"rms_norm_eps\": 1e-05, \"tie_word_embeddings\": true}" >tied/config.json
says 0 0 import "$config" --set import.from=tied --set import.to=run-tied
says 78 2 export "$config" --set export.from=narrow --set export.base=run-tied --set export.to=none; blames 'not any more'
says 78 0 export "$config" "${keys[@]}" --set export.from=first --set export.base=first --set export.to=none; blames 'first was not imported'
says 65 0 export "$config" "${small[@]}" "${keys[@]}" --set model.decoder.layers=3 --set export.from=first --set export.to=none; blames model.decoder.layers
[ ! -e none ] || fail "an export of it"

# The second tower block is not run with select_layer -2: the checkpoint lacks it, the base has it.
last=(--set model.vision.select_layer=-2 --set model.codes.layer=-2 --set run.dir=second --set train.init=base --set train.steps=1)
says 0 0 train "$config" "${small[@]}" "${keys[@]}" "${last[@]}"
grep -q "^starts from base/ckpt/step-00000000;" out && ! grep -q fresh out || { cat out; fail "the import does not serve as train.init"; }
says 0 0 export "$config" "${small[@]}" "${keys[@]}" "${last[@]}" --set export.from=second --set export.to=short
grep -q '"vision_feature_layer": -1' short/config.json && grep -q '"num_hidden_layers": 1,' short/config.json || fail "the short tower is not told"
says 0 2 export "$config" "${keys[@]}" "${last[@]}" --set export.from=second --set export.base=base --set export.to=long
# bytes_of FOLDER NAME: the elements of a tensor
bytes_of() {
    local f at head
    for f in "$1"/*.safetensors; do
        head=$((8 + $(od -An -td8 -N 8 "$f")))
        at=$(head -c $head "$f" | grep -aoE "\"$2\":\{[^}]*" | grep -oE '[0-9]+,[0-9]+\]$' | tr ',]' '  ') || continue
        set -- $at
        tail -c +$((head + $1 + 1)) "$f" | head -c $(($2 - $1))
        return
    done
    fail "$2 is not in $1"
}
same_bytes() { cmp -s <(bytes_of $1 $3) <(bytes_of $2 $3); }
same_bytes ours long vision_tower.vision_model.encoder.layers.1.mlp.fc1.weight || fail "the base's block did not come along"
same_bytes ours long vision_tower.vision_model.encoder.layers.0.mlp.fc1.weight || fail "the frozen tower moved"
same_bytes short long language_model.lm_head.weight || fail "the trained decoder is not the same"
! same_bytes ours long language_model.lm_head.weight || fail "the decoder is the base's"
rows() { bytes_of $1 language_model.lm_head.weight | tail -c +$((1 + 256 * $2)) | head -c $((256 * $3)); }
[ "$(rows wide 768 64 | od -An -v -tx4 -w256 | sort -u | wc -l)" = 1 ] && ! cmp -s <(rows wide 768 1) <(rows wide 767 1) || fail "the rows for <image> are not all the mean"
