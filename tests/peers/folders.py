"""folders.py OUT: folders of cut-down models that the transformers library itself writes, weights at random.

Each is OUT/NAME with a file `keys` beside config.json's: what asvr's configuration must say, one KEY=VALUE a line (removed before
anything is compared).  Language models, towers, and LLaVA of these."""
import os
import sys

import torch
import transformers
from transformers import (CLIPConfig, CLIPModel, CLIPVisionConfig, CLIPVisionModel, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration, MistralConfig,
                          Qwen2Config, SiglipConfig, SiglipModel, SiglipVisionConfig, SiglipVisionModel, AutoModelForCausalLM)

SIZES = dict(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, vocab_size=768,
             max_position_embeddings=512)
TOWER = dict(hidden_size=48, intermediate_size=80, num_hidden_layers=3, num_attention_heads=4, image_size=56, patch_size=14)
LLAMA3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=64)
COMMON = ["decoder.width=64", "decoder.ffn=96", "decoder.layers=2", "decoder.heads=4", "decoder.kv_heads=2", "decoder.vocab=768",
          "decoder.max_len=128"]
SEEN = ["vision.image=56", "vision.patch=14", "vision.width=48", "vision.layers=3", "vision.heads=4", "vision.ffn=80", "vision.select_layer=-2"]
CLIP = SEEN + ["vision.kind=clip"]
TEXT = ["text.width=48", "text.ffn=80", "text.layers=3", "text.heads=4", "text.max_len=64"]

decoders = {
    "llama3": (LlamaConfig(**SIZES, rope_theta=5e5, rms_norm_eps=1e-5, rope_scaling=LLAMA3),
               ["decoder.rope_theta=5e5", "decoder.eps=1e-5", "decoder.rope_scaling=llama3", "decoder.rope_factor=8.0",
                "decoder.rope_original_max_len=64"]),
    "smollm2": (LlamaConfig(**SIZES, rope_theta=1e5, rms_norm_eps=1e-5, tie_word_embeddings=True),
                ["decoder.rope_theta=1e5", "decoder.eps=1e-5", "decoder.tied=true"]),
    "mistral": (MistralConfig(**SIZES, rms_norm_eps=1e-5, sliding_window=None), ["decoder.eps=1e-5"]),
    "qwen2": (Qwen2Config(**SIZES, rope_theta=1e6, rms_norm_eps=1e-6), ["decoder.rope_theta=1e6", "decoder.eps=1e-6", "decoder.qkv_bias=true"]),
}
if hasattr(transformers, "Qwen3Config"):
    decoders["qwen3"] = (transformers.Qwen3Config(**SIZES, head_dim=24, rope_theta=1e6, rms_norm_eps=1e-6, tie_word_embeddings=True),
                         ["decoder.rope_theta=1e6", "decoder.eps=1e-6", "decoder.tied=true", "decoder.head_dim=24", "decoder.qk_norm=true"])


def write(name, model, keys):
    path = os.path.join(sys.argv[1], name)
    model.save_pretrained(path)
    with open(os.path.join(path, "keys"), "w") as f:
        f.writelines("model.%s\n" % k for k in keys)


def llava(text, vision, strategy):
    return LlavaForConditionalGeneration(LlavaConfig(vision_config=vision, text_config=text, image_token_index=767, projector_hidden_act="gelu",
                                                     vision_feature_layer=-2, vision_feature_select_strategy=strategy,
                                                     tie_word_embeddings=text.tie_word_embeddings))


torch.manual_seed(1)
transformers.logging.set_verbosity_error()
for name, (config, keys) in decoders.items():
    write(name, AutoModelForCausalLM.from_config(config), COMMON + keys)
    write("llava-%s-clip" % name, llava(config, CLIPVisionConfig(**TOWER), "default"), COMMON + CLIP + keys)
config, keys = decoders["llama3"]
write("llava-llama3-siglip", llava(config, SiglipVisionConfig(**TOWER), "full"), COMMON + SEEN + keys)
write("clip", CLIPVisionModel(CLIPVisionConfig(**TOWER)), CLIP)
write("siglip", SiglipVisionModel(SiglipVisionConfig(**TOWER)), SEEN)
inner = {k: v for k, v in TOWER.items() if "size" not in k or k in ("hidden_size", "intermediate_size")}
write("siglip-both", SiglipModel(SiglipConfig(vision_config=TOWER, text_config=dict(**inner, vocab_size=768, max_position_embeddings=64))),
      SEEN + TEXT + ["decoder.vocab=768"])
write("clip-both", CLIPModel(CLIPConfig(vision_config=TOWER, text_config=dict(**inner, vocab_size=768))), CLIP)
print(transformers.__version__)
