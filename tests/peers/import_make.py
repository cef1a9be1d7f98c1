#!/usr/bin/env python3
"""Writes LLaVA folders as transformers itself does, random weights, for `asvr import`: import_make.py FROM OUT KIND...

FROM is a folder that asvr exported, whose tokenizer, template and processor they get; OUT/KIND the folders; KIND TEXT-TOWER[-sharded]."""
import os
import sys

import torch
import transformers
from transformers import (AutoProcessor, CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration, MistralConfig, Qwen2Config,
                          SiglipVisionConfig)

source, out = sys.argv[1:3]
small = dict(hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4, initializer_range=0.15)
TEXT = {
    "llama": lambda more: LlamaConfig(num_key_value_heads=4, rms_norm_eps=1e-5, **more),
    "mistral": lambda more: MistralConfig(num_key_value_heads=2, rms_norm_eps=1e-5, sliding_window=None, head_dim=16, **more),
    "qwen2": lambda more: Qwen2Config(num_key_value_heads=2, rms_norm_eps=1e-6, **more),
    "smollm2": lambda more: LlamaConfig(num_key_value_heads=2, rms_norm_eps=1e-5, rope_theta=100000.0, tie_word_embeddings=True, **more),
}
for kind in sys.argv[3:]:
    text, tower = kind.split("-")[:2]
    torch.manual_seed(len(kind))
    more = dict(small, vocab_size=832, max_position_embeddings=320, bos_token_id=1, eos_token_id=2)
    config = TEXT[text](more)
    vision = (CLIPVisionConfig if tower == "clip" else SiglipVisionConfig)(image_size=32, patch_size=8, **small)
    config = LlavaConfig(vision_config=vision, text_config=config, image_token_index=768, vision_feature_layer=-2, projector_hidden_act="gelu",
                         vision_feature_select_strategy="default" if tower == "clip" else "full", image_seq_length=16,
                         tie_word_embeddings=text == "smollm2")
    model = LlavaForConditionalGeneration(config).float()
    with torch.no_grad():                           # <image> is never the likeliest word
        head = model.get_output_embeddings().weight
        head[768:] = head[:768].mean(0)
    processor = AutoProcessor.from_pretrained(source)
    if tower == "clip":
        processor.num_additional_image_tokens, processor.vision_feature_select_strategy = 1, "default"
        processor.image_processor.image_mean = [0.48145466, 0.4578275, 0.40821073]
        processor.image_processor.image_std = [0.26862954, 0.26130258, 0.27577711]
    folder = os.path.join(out, kind)
    model.save_pretrained(folder, max_shard_size="300KB" if kind.endswith("-sharded") else "1GB")
    processor.save_pretrained(folder)
    print("%s: %d parameters, transformers %s" % (folder, sum(p.numel() for p in model.parameters()), transformers.__version__))
