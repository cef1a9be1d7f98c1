#!/usr/bin/env python3
"""Writes tests/golden/kinds_golden.h: text loss, logits and gradients of decoders and towers as people have them, by the
transformers library itself (LlavaForConditionalGeneration), its products in float64.

Sizes and batch are those of tests/core/model_case.h, weights and random directions come from the counter-based generator of
core/rng.h (tests/ref/model.py).  The library embeds pictures, projects them and runs the language model; between them rows
are put together here, since a sequence is cut off at max_len.
Run from the root with the newest transformers and PyTorch of PyPI; the output is committed, and no test needs them."""
import sys

import numpy as np
import torch
import torch.nn.functional as F
import transformers
from transformers import (CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration, MistralConfig, Qwen2Config,
                          Qwen3Config, SiglipVisionConfig)

sys.path.insert(0, "tests/ref")
import model as ref

SEEN = 3                                                    # logits of a sequence's last row
COLOURS = {"siglip": ([0.5] * 3, [0.5] * 3),
           "clip": ([0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711])}
SIZES = dict(hidden_size=24, intermediate_size=36, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, vocab_size=40,
             max_position_embeddings=512, rms_norm_eps=1e-5, tie_word_embeddings=False, pad_token_id=None)
TOWER = dict(hidden_size=12, intermediate_size=20, num_hidden_layers=3, num_attention_heads=2, image_size=13, patch_size=4)


def rope(theta, **more):
    return {"rope_theta": theta, "rope_type": "default", **more}


LLAMA3 = dict(rope_type="llama3", factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=160)
CASES = {                                                   # tests/core/test_kinds.c has the same
    "llama3": (LlamaConfig(**SIZES, rope_parameters=rope(10000.0, **LLAMA3)), "siglip"),
    "linear": (LlamaConfig(**SIZES, rope_parameters=rope(10000.0, rope_type="linear", factor=4.0)), "siglip"),
    "smollm2": (LlamaConfig(**{**SIZES, "tie_word_embeddings": True}, rope_parameters=rope(1e5)), "clip"),
    "mistral": (MistralConfig(**SIZES, sliding_window=None, rope_parameters=rope(10000.0)), "clip"),
    "qwen2": (Qwen2Config(**SIZES, rope_parameters=rope(1e6)), "clip"),
    "qwen3": (Qwen3Config(**{**SIZES, "tie_word_embeddings": True}, head_dim=10, rope_parameters=rope(1e6)), "clip"),
}


def ours(name):
    """A name of the library's and how its values begin."""
    part, rest = name.removeprefix("model.").split(".", 1)
    if part == "lm_head":
        return "decoder.lm_head", "normal"
    if part == "multi_modal_projector":
        which, kind = rest.split(".")
        return "projector.%d.%s" % (int(which[-1]) - 1, kind[0]), "fan_in" if kind == "weight" else "zeros"
    rest = rest.removeprefix("vision_model.")
    if part == "vision_tower":
        fixed = {"embeddings.class_embedding": ("class", "normal"), "embeddings.patch_embedding.weight": ("patch.w", "fan_in"),
                 "embeddings.patch_embedding.bias": ("patch.b", "zeros"), "embeddings.position_embedding.weight": ("pos", "normal"),
                 "pre_layrnorm.weight": ("pre.w", "ones"), "pre_layrnorm.bias": ("pre.b", "zeros")}
        if rest in fixed:
            return "vision." + fixed[rest][0], fixed[rest][1]
        if not rest.startswith("encoder.layers."):
            return None, None
        _, _, layer, rest = rest.split(".", 3)
        word, kind = rest.rsplit(".", 1)
        word = {"layer_norm1": "ln1.", "layer_norm2": "ln2.", "mlp.fc1": "ffn.w1", "mlp.fc2": "ffn.w2"}.get(word) or "attn.w" + word.split(".")[1][0]
        if word.startswith("ln"):
            return "vision.%s.%s%s" % (layer, word, kind[0]), "ones" if kind == "weight" else "zeros"
        return "vision.%s.%s" % (layer, word if kind == "weight" else word.replace(".w", ".b")), "fan_in" if kind == "weight" else "zeros"
    if rest == "embed_tokens.weight":
        return "decoder.embed", "normal"
    if rest == "norm.weight":
        return "decoder.norm", "ones"
    _, layer, rest = rest.split(".", 2)
    word, kind = rest.rsplit(".", 1)
    named = {"input_layernorm": "attn.norm", "post_attention_layernorm": "ffn.norm", "self_attn.q_norm": "attn.q_norm", "self_attn.k_norm": "attn.k_norm"}
    if word in named:
        return "decoder.%s.%s" % (layer, named[word]), "ones"
    if word.startswith("mlp."):
        return "decoder.%s.ffn.%s" % (layer, word[4:].removesuffix("_proj")), "normal"
    return "decoder.%s.attn.%s%s" % (layer, "w" if kind == "weight" else "b", word.split(".")[1][0]), "normal" if kind == "weight" else "zeros"


def values(name, initial, shape):
    n, s = int(np.prod(shape)), ref.stream(name)
    start = {"ones": lambda: np.ones(n), "zeros": lambda: np.zeros(n), "normal": lambda: 0.02 * ref.normal(ref.SEED, s, n),
             "fan_in": lambda: (2 * ref.uniform(ref.SEED, s, n) - 1) / np.sqrt(n / shape[0])}[initial]()
    return torch.from_numpy((start.astype(np.float32) + ref.SHAKE * ref.normal(9, s, n).astype(np.float32)).astype(np.float64)).reshape(shape)


def open_model(text, tower):
    kind = {"siglip": SiglipVisionConfig, "clip": CLIPVisionConfig}[tower]
    config = LlavaConfig(vision_config=kind(**TOWER), text_config=text, image_token_index=39, projector_hidden_act="gelu",
                         vision_feature_layer=-2, vision_feature_select_strategy="default" if tower == "clip" else "full",
                         tie_word_embeddings=text.tie_word_embeddings)
    m = LlavaForConditionalGeneration(config).double().eval()
    tensor = {}
    with torch.no_grad():
        for name, p in m.named_parameters():
            key, initial = ours(name)
            if key:
                p.copy_(values(key, initial, tuple(p.shape)))
                tensor[key] = p
    return m, tensor


def losses(m, batch, tower):
    mean, deviation = (torch.tensor(v)[None, :, None, None] for v in COLOURS[tower])
    pixels = (torch.from_numpy(batch.pixels.astype(np.float64)).permute(0, 3, 1, 2) / 255 - mean) / deviation
    images = m.get_image_features(pixel_values=pixels)
    images = getattr(images, "pooler_output", images)
    text, n_text, seen = 0, 0, []
    for b, (tokens, labels) in enumerate(zip(batch.tokens, batch.labels)):
        mine = range(batch.image_start[b], batch.image_start[b + 1])
        x, learn, _ = ref.merged(tokens, labels, [(i, images[i]) for i in mine], m.get_input_embeddings().weight)
        z = m(inputs_embeds=x[None]).logits[0]
        want = torch.tensor(learn[1:])
        text = text + F.cross_entropy(z[:-1], want, ignore_index=ref.IGNORE, reduction="sum")
        n_text += int((want != ref.IGNORE).sum())
        seen += z[-1, :SEEN].tolist()
    return text / n_text, seen


def write(out, name, text, tower):
    m, tensor = open_model(text, tower)
    loss, seen = losses(m, ref.Batch(False), tower)
    loss.backward()
    whole = sum(float(t.grad.norm()) ** 2 for t in tensor.values() if t.grad is not None) ** 0.5
    out.write("static const GoldenTensor %s_gradients[] = {\n" % name)
    for key, t in tensor.items():
        if t.grad is None:                                  # the block behind the features
            continue
        if float(t.grad.norm()) < 1e-6 * whole:             # 0 by construction, but for the library's norms in float32
            t.grad.zero_()
        out.write(ref.tensor_line(key, t))
    out.write("    { 0 }\n};\n")
    out.write("static const Golden golden_%s = {\n    .loss = %.15g, .text = %.15g, .gradients = %s_gradients,\n    .logits = %s\n};\n\n"
              % (name, loss, loss, name, ref.numbers(seen)))


def main():
    transformers.logging.set_verbosity_error()
    with open("tests/golden/kinds_golden.h", "w") as out:
        out.write("/* Written by tests/ref/kinds.py with transformers %s and PyTorch %s: losses, of each sequence's last row %d logits, and for\n"
                  "   each tensor its number of elements, the norm of its gradient and the gradient's components along 3 random unit vectors. */\n\n"
                  % (transformers.__version__, torch.__version__.split("+")[0], SEEN))
        for name, (text, tower) in CASES.items():
            write(out, name, text, tower)


if __name__ == "__main__":
    main()
