# Folders as transformers 5 writes them: Qwen3 with a tied embedding below CLIP, both alone; and what a config.json may say.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/tools.inc"
. "$here/hffolder.inc"

clip='"model_type": "clip_vision_model", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "image_size": 32, "patch_size": 8, "hidden_act": "quick_gelu", "projection_dim": 512'
qwen='"model_type": "qwen3", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 24, "vocab_size": 768, "rms_norm_eps": 1e-05, "tie_word_embeddings": true, "rope_parameters": {"rope_theta": 1000000.0, "rope_type": "default"}, "layer_types": ["full_attention", "full_attention"], "sliding_window": null, "use_sliding_window": false'
qwen3() {                                       # PREFIX: names end in model.
    local l p
    tensor $1embed_tokens.weight 768 64
    for l in 0 1; do
        p=$1layers.$l.
        tensor ${p}input_layernorm.weight 64
        tensor ${p}mlp.down_proj.weight 64 128; tensor ${p}mlp.gate_proj.weight 128 64; tensor ${p}mlp.up_proj.weight 128 64
        tensor ${p}post_attention_layernorm.weight 64
        tensor ${p}self_attn.k_norm.weight 24; tensor ${p}self_attn.k_proj.weight 48 64; tensor ${p}self_attn.o_proj.weight 64 96
        tensor ${p}self_attn.q_norm.weight 24; tensor ${p}self_attn.q_proj.weight 96 64; tensor ${p}self_attn.v_proj.weight 48 64
    done
    tensor $1norm.weight 64
}
clip() {                                        # PREFIX
    tensor $1embeddings.class_embedding 64
    tensor $1embeddings.patch_embedding.weight 64 3 8 8
    tensor $1embeddings.position_embedding.weight 17 64
    blocks "$1" 2 64 128
    tensor $1post_layernorm.weight 64; tensor $1post_layernorm.bias 64
    tensor $1pre_layrnorm.weight 64; tensor $1pre_layrnorm.bias 64
}
keys=(--set parallel.threads=1 --set model.vision.kind=clip --set model.decoder.kv_heads=2 --set model.decoder.head_dim=24
      --set model.decoder.qk_norm=true --set model.decoder.tied=true --set model.decoder.rope_theta=1e6)

mkdir qwen3 clip llava
weights BF16; qwen3 model.; file qwen3/model.safetensors; echo "{$qwen}" >qwen3/config.json
weights F32; clip ""; file clip/model.safetensors; echo "{$clip}" >clip/config.json
weights F16; qwen3 language_model.model.
for l in 1 2; do tensor multi_modal_projector.linear_$l.bias 64; tensor multi_modal_projector.linear_$l.weight 64 64; done
clip vision_tower.; file llava/model.safetensors
echo "{\"model_type\": \"llava\", \"image_token_index\": 767, \"vision_feature_layer\": -1, \"vision_feature_select_strategy\": \"default\", \"text_config\": {$qwen}, \"vision_config\": {$clip}}" >llava/config.json

# ---- in and out again ----
there() {                                       # KIND RANKS PARTS
    says 0 "$2" import "$config" "${keys[@]}" --set import.from="$1" --set import.to="run-$1"
    [ ! -s err ] || { cat err; fail "import complained"; }
    grep -q "^imported $3: " out || { cat out; fail "$1: other parts"; }
    says 0 "$2" export "$config" "${keys[@]}" --set export.from="run-$1" --set export.to="back-$1"
    diff -r "$1" "back-$1" || fail "$1: other bytes"
}
there qwen3 0 decoder
there clip 0 vision
there llava 2 'vision, projector, decoder'
! grep -q lm_head run-llava/ckpt/step-00000000/manifest.json || fail "a tied model has an LM head of its own"

# ---- keys that nobody knows, and those that are wrong ----
other() { rm -rf other nowhere; cp -r "$1" other; sed -i "$2" other/config.json; }
refused() {                                     # CODE TEXT...
    says "$1" 0 import "$config" "${keys[@]}" --set import.from=other --set import.to=nowhere
    blames "${@:2}"
    [ ! -e nowhere/ckpt ] || fail "a checkpoint of it"
}
other qwen3 's/"tie_word/"attn_logit_softcapping": 50.0, "tie_word/'
refused 78 'attn_logit_softcapping = 50.0' import.unknown other/config.json
says 0 0 import "$config" "${keys[@]}" --set import.from=other --set import.to=nowhere --set import.unknown=warn
grep -q 'attn_logit_softcapping = 50.0' err || { cat err; fail "no warning"; }
other llava 's/"projection_dim": 512/"use_rel_pos": true/'
refused 78 'vision_config.use_rel_pos = true'
other llava 's/"tie_word/"partial_rotary_factor": 0.5, "tie_word/'
refused 78 'text_config.partial_rotary_factor = 0.5' 'asks for something else'
other qwen3 's/"default"/"yarn"/';           refused 78 'rope_scaling = yarn'
other clip 's/quick_gelu/gelu/';             refused 78 'hidden_act = gelu' quick_gelu
other qwen3 's/"qwen3"/"qwen3_moe"/';        refused 65 'mixtures of experts'
other llava 's/clip_vision/siglip2_vision/'; refused 65 NaFlex
other llava 's/strategy": "default"/strategy": "full"/'
refused 78 'vision_feature_select_strategy = full'
other clip 's/"clip_vision_model"/"siglip_vision_model"/; s/quick_gelu/gelu_pytorch_tanh/'
refused 78 'model.vision.kind = clip' 'model_type = siglip'
rm -rf nowhere; mv other/config.json .;       refused 65 'there is no config.json' import.unknown
says 0 2 import "$config" "${keys[@]}" --set import.from=other --set import.to=nowhere --set import.unknown=warn
grep -q 'there is no config.json' err || { cat err; fail "no warning"; }
