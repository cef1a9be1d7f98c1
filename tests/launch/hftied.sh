# lm_head and the embedding: what the files hold decides, what config.json says otherwise is named; and what a failed import leaves.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/tools.inc"
. "$here/hffolder.inc"

keys=(--set parallel.threads=1)
tied=(--set model.decoder.tied=true)
config_json() {                                 # FOLDER TIE
    echo "{\"model_type\": \"llama\", \"hidden_size\": 64, \"intermediate_size\": 128, \"num_hidden_layers\": 2, \"num_attention_heads\": 4, \"vocab_size\": 768, \"rms_norm_eps\": 1e-05, \"tie_word_embeddings\": $2}" >"$1/config.json"
}
# folder NAME HEAD TIE: HEAD none, other, same (bit by bit the embedding)
folder() {
    local at=$seek
    mkdir "$1"
    weights F32; tensor model.embed_tokens.weight 768 64; file "$1/model-00001-of-00002.safetensors"
    [ "$2" != same ] || seek=$at
    weights F32
    [ "$2" = none ] || tensor lm_head.weight 768 64
    decoder model. 64
    header=${header/\"model.embed_tokens.weight\"/\"model.layers.1.self_attn.rotary_emb.inv_freq\"}
    file "$1/model-00002-of-00002.safetensors"
    index "$1"; config_json "$1" "$3"
}
# import and export again: import RANKS FOLDER KEYS...
round() {
    local ranks=$1 name=$2
    shift 2
    says 0 $ranks import "$config" "${keys[@]}" "$@" --set import.from=$name --set import.to=run-$name
    cp out said
    says 0 $ranks export "$config" "${keys[@]}" "$@" --set export.from=run-$name --set export.to=back-$name
    for f in $name/model*; do cmp $f back-$name/${f##*/} || fail "$name: other weights"; done
}
contradicts() { grep -q "$1" said || { cat said; fail "the contradiction is not named"; }; }

folder other other true
round 2 other
contradicts 'config.json says that lm_head is the embedding; the files hold another one'
grep -q '"tie_word_embeddings": false' back-other/config.json && grep -q 'tie_word_embeddings is false now' out || fail "the export says tied beside two tensors"
says 78 2 import "$config" "${keys[@]}" "${tied[@]}" --set import.from=other --set import.to=nowhere
blames '"lm_head.weight" is not the embedding, though config.json says so' 'another row 0'
[ ! -e nowhere ] || fail "a refused import leaves its folder"

folder none none false
round 0 none
contradicts 'config.json does not say that lm_head is the embedding; the files hold none'
grep -q '"tie_word_embeddings": true' back-none/config.json || fail "the export does not say tied"
! grep -q 'not exported' out || { cat out; fail "an lm_head that is the embedding has a place"; }
says 0 0 import "$config" "${keys[@]}" "${tied[@]}" --set import.from=none --set import.to=one
says 0 2 export "$config" "${keys[@]}" "${tied[@]}" --set export.from=one --set export.to=back-one
diff -r back-none back-one || fail "one tensor or two equal ones: other files"

folder same same true
round 2 same "${tied[@]}"
diff -r same back-same || fail "an lm_head that is the embedding: other bytes"
! grep -q 'config.json' said || { cat said; fail "there is no contradiction"; }

# ---- a failed import leaves nothing ----
bad() {                                         # what fails when all is open: a weight of whole numbers
    mkdir bad; weights F32; decoder model. 64; tensor lm_head.weight 768 64; plain model.norm.weight I64 64
    header=${header/\"model.norm.weight\":\{\"dtype\":\"F32\"/\"model.layers.1.self_attn.rotary_emb.inv_freq\":\{\"dtype\":\"F32\"}
    file bad/model.safetensors; config_json bad false
}
bad
for ranks in 0 2; do
    says 65 $ranks import "$config" "${keys[@]}" --set import.from=bad --set import.to=nowhere; blames model.norm.weight I64
    [ ! -e nowhere ] || { find nowhere; fail "a failed import leaves its folder"; }
    mkdir mine; echo x >mine/notes
    says 65 $ranks import "$config" "${keys[@]}" --set import.from=bad --set import.to=mine; blames model.norm.weight
    [ "$(find mine)" = $'mine\nmine/notes' ] || { find mine; fail "a failed import leaves files in a folder that was there"; }
    rm -r mine
done
