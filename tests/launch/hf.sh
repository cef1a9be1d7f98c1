# Hugging Face in and out: what is imported comes out byte by byte; what is wrong is named.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/tools.inc"
. "$here/hffolder.inc"

llm='"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 768, "rms_norm_eps": 1e-05'
vit='{"model_type": "siglip_vision_model", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "image_size": 32, "patch_size": 8}'
small_files() {                                 # FOLDER CONFIG
    printf '%s\n' "$2" >"$1/config.json"
    printf '{"a": "caf\\u00e9"}' >"$1/tokenizer.json"
    printf 'merges\n' >"$1/merges.txt"
    head -c 300 noise >"$1/tokenizer.model"
}
llava_json() { echo "{\"model_type\": \"llava\", \"vision_feature_layer\": -1, \"vision_feature_select_strategy\": \"full\", \"text_config\": {\"model_type\": \"llama\", $llm}, \"vision_config\": $vit}"; }

# make KIND DTYPE FOLDER
make() {
    mkdir -p "$3"
    weights $2
    case $1 in
    llama)   decoder model. 64; plain model.layers.0.self_attn.rotary_emb.inv_freq F32 8; tensor lm_head.weight 768 64
             file "$3/model.safetensors"; small_files "$3" "{\"model_type\": \"llama\", $llm}" ;;
    mistral) decoder model. 16; tensor lm_head.weight 768 64; file "$3/model.safetensors"
             small_files "$3" "{\"model_type\": \"mistral\", $llm, \"num_key_value_heads\": 1}" ;;
    qwen2)   decoder model. 32 bias; tensor lm_head.weight 768 64; file "$3/model.safetensors"
             small_files "$3" "{\"model_type\": \"qwen2\", $llm, \"num_key_value_heads\": 2}" ;;
    tied)    decoder model. 64; file "$3/model.safetensors"
             small_files "$3" "{\"model_type\": \"llama\", $llm, \"tie_word_embeddings\": true}" ;;
    siglip)  tower vision_model. 2; pooling vision_model.; text_tower; plain text_model.embeddings.position_ids I64 1 24
             file "$3/model.safetensors"
             small_files "$3" "{\"model_type\": \"siglip\", \"vision_config\": $vit, \"text_config\": {\"hidden_size\": 64, \"intermediate_size\": 128, \"num_hidden_layers\": 2, \"num_attention_heads\": 4, \"vocab_size\": 768, \"max_position_embeddings\": 24}}" ;;
    llava)   tower vision_tower.vision_model. 2; tensor multi_modal_projector.linear_1.weight 64 64
             tensor multi_modal_projector.linear_1.bias 64; file "$3/model-00001-of-00002.safetensors"
             weights $2; tensor multi_modal_projector.linear_2.weight 64 64; tensor multi_modal_projector.linear_2.bias 64
             decoder language_model.model. 64; tensor language_model.lm_head.weight 768 64; visual_head
             file "$3/model-00002-of-00002.safetensors"; index "$3"; small_files "$3" "$(llava_json)" ;;
    new)     tower model.vision_tower.vision_model. 2; pooling model.vision_tower.vision_model.
             for l in 1 2; do tensor model.multi_modal_projector.linear_$l.weight 64 64; tensor model.multi_modal_projector.linear_$l.bias 64; done
             decoder model.language_model. 64; tensor lm_head.weight 768 64; file "$3/model.safetensors"; small_files "$3" "$(llava_json)" ;;
    flat)    decoder model. 64; tensor lm_head.weight 768 64
             for l in 0 2; do tensor model.mm_projector.$l.weight 64 64; tensor model.mm_projector.$l.bias 64; done
             visual_head; header=${header//visual_head.projector/projector}; header=${header//visual_head./rqtransformer_semantic.}
             tensor rqtransformer_visual.in_mlp_1.weight 64 64; file "$3/model.safetensors"
             small_files "$3" "{\"model_type\": \"llava_llama\", \"mm_vision_tower\": \"siglip\", \"mm_projector_type\": \"mlp2x_gelu\", \"mm_vision_select_layer\": -1, $llm}" ;;
    esac
}
keys=()
keys_of() {
    keys=(--set parallel.threads=1 --set model.text.width=64 --set model.text.layers=2 --set model.text.ffn=128 --set model.text.max_len=24)
    case $1 in
    mistral) keys+=(--set model.decoder.kv_heads=1) ;;
    qwen2)   keys+=(--set model.decoder.kv_heads=2 --set model.decoder.qkv_bias=true) ;;
    esac
}

# ---- in and out again ----
# there KIND DTYPE RANKS: import on so many ranks, export on as many, and compare every file
there() {
    make $1 $2 $1-$2
    keys_of $1
    says 0 $3 import "$config" "${keys[@]}" --set import.from=$1-$2 --set import.to=run-$1
    [ ! -s err ] || { cat err; fail "import complained"; }
    grep -q "^wrote run-$1/ckpt" out || { cat out; fail "import says nothing"; }
    cp out said
    says 0 $3 export "$config" "${keys[@]}" --set export.from=run-$1 --set export.to=back-$1
    diff -r $1-$2 back-$1 || fail "$1 $2: other bytes"
}
there llama F32 0;  grep -q '^1 tensors are not used' said || fail "inv_freq is not told"
there mistral BF16 0
there qwen2 F16 0
there siglip F32 2
there llava BF16 2; grep -q 'imported vision, codes, projector, decoder, head: ' said || { cat said; fail "other parts"; }
there new F16 0;    grep -q 'imported vision, pool, projector, decoder: ' said || { cat said; fail "other parts"; }
there flat F16 0
there tied BF16 0;  grep -q 'the embeddings are tied' said || fail "tied embeddings are not told"
"$ASVR" verify run-llava/ckpt/step-00000000 >said || fail "the imported checkpoint is not valid"
head -1 said >one
mv run-llava two; keys_of llava
says 0 0 import "$config" "${keys[@]}" --set import.from=llava-BF16 --set import.to=run-llava
"$ASVR" verify run-llava/ckpt/step-00000000 | head -1 | cmp - one || fail "what is imported depends on the number of ranks"

# ---- what is wrong is named ----
keys_of llama
ranks_of=0
refused() {                                     # CODE TEXT...
    says $1 $ranks_of import "$config" "${keys[@]}" --set import.from=bad --set import.to=nowhere
    blames "${@:2}"
    [ ! -e nowhere/ckpt ] || fail "a checkpoint of it"
}
bad() { rm -rf bad; cp -r llama-F32 bad; }
again() { weights F32; decoder model. 64; }
bad; again; header=${header/model.norm.weight/model.norms.weight}; tensor lm_head.weight 768 64; file bad/model.safetensors
refused 65 model.norms.weight
bad; again; header=${header/\"model.embed_tokens.weight/\"lm_head.weight}; file bad/model.safetensors
ranks_of=2 refused 65 '"model.embed_tokens.weight" is missing'
bad; again; tensor lm_head.weight 768 64; tensor model.layers.2.input_layernorm.weight 64; file bad/model.safetensors
refused 65 '"model.layers.2.input_layernorm.weight" has no place' decoder.2.attn.norm
bad; again; tensor lm_head.weight 767 64; file bad/model.safetensors
refused 65 '"lm_head.weight" has another shape' '(768,64)' '(767,64)'
bad; sed -i 's/"num_attention_heads": 4/"num_attention_heads": 8, "hidden_act": "gelu"/' bad/config.json
says 78 2 import "$config" "${keys[@]}" --set import.from=bad --set import.to=nowhere
for what in model.decoder.heads model.decoder.kv_heads 'hidden_act = gelu'; do grep -qF "$what" err || { cat err; fail "$what is not named"; }; done
bad; printf '\377\377\377\377\377\377\377\177' | dd of=bad/model.safetensors conv=notrunc status=none; refused 65 'length of its header' model.safetensors
bad; truncate -s -1 bad/model.safetensors; ranks_of=2 refused 65 'bad/model.safetensors, byte ' lm_head.weight
keys_of llava
says 78 0 import "$config" "${keys[@]}" --set import.from=llava-BF16 --set import.to=run-llava; blames 'has checkpoints already'
says 78 2 export "$config" "${keys[@]}" --set export.from=run-llava --set export.to=back-llava; blames 'not empty'
[ -z "$(find . -name '.tmp-*')" ] || fail "a temporary folder is left"
