#!/usr/bin/env python3
"""Low-rank pairs that peft opens or makes, beside what asvr computes with them (answers.c).

    lora_peer.py check NAME BASE ADAPTER MERGED ANSWERS    ADAPTER upon BASE by peft, merged by it, and MERGED by transformers (or -)
    lora_peer.py make BASE ADAPTER RANK ALPHA TARGETS      an adapter of random values, TARGETS an expression

Exit 1 on any failure."""
import json
import sys
import warnings

import numpy as np
import peft
import torch
import transformers
from transformers import LlavaForConditionalGeneration

warnings.filterwarnings("ignore")


def opened(folder):
    return LlavaForConditionalGeneration.from_pretrained(folder).eval()


def make(base, out, rank, alpha, targets):
    torch.manual_seed(3)
    conf = peft.LoraConfig(r=int(rank), lora_alpha=float(alpha), target_modules=targets, init_lora_weights=False)
    peft.get_peft_model(opened(base), conf).save_pretrained(out)


def logits_of(model, folder, stem):
    with open(stem + ".json") as f:
        ours = json.load(f)
    with open(folder + "/preprocessor_config.json") as f:
        how = json.load(f)
    size, n = ours["size"], len(ours["pictures"])
    pixels = np.fromfile(stem + ".pixels", np.uint8).reshape(n, size, size, 3)
    values = ((pixels / 255.0 - np.array(how["image_mean"])) / np.array(how["image_std"])).transpose(0, 3, 1, 2)
    token, features = model.config.image_token_id, model.config.image_seq_length
    out = []
    for picture, value in zip(ours["pictures"], values):
        ids = sum(([token] * features if t == -200 else [t] for t in picture["ids"]), [])
        row = torch.tensor([ids + picture["tokens"]])
        with torch.no_grad():
            z = model(input_ids=row, attention_mask=torch.ones_like(row), pixel_values=torch.tensor(value[None], dtype=torch.float32)).logits
        out.append(z[0, len(ids) - 1:-1, :ours["vocab"]].numpy())
    return np.stack(out), np.fromfile(stem + ".logits", np.float32).reshape(n, ours["steps"], ours["vocab"])


def check(name, base, adapter, merged, stem):
    failed = False
    label = "peft %s, transformers %s, %s" % (peft.__version__, transformers.__version__, name)
    model = opened(base)
    plain, ours = logits_of(model, base, stem)
    model = peft.PeftModel.from_pretrained(model, adapter).eval()
    pairs = sum("lora_A" in k for k in model.state_dict())
    ways = [("beside the weights", model)]
    whole = None if merged == "-" else opened(merged)
    for way, m in ways + ([("merged by asvr", whole)] if whole else []) + [("merged by peft", None)]:
        z, _ = logits_of(m or model.merge_and_unload(), base, stem)
        off, moved = np.abs(z - ours).max(), np.abs(plain - ours).max()
        good = off < 1e-4 * max(1, np.abs(ours).max() / 10) and moved > 100 * off and pairs > 0      # as in export_peer.py
        failed |= not good
        print("%s %s: %d pairs %s, logits of %d pictures differ by %.1e at most, of %.1f; from the base's by %.2f" % (
            "ok  " if good else "FAIL", label, pairs, way, len(ours), off, np.abs(ours).max(), moved), flush=True)
    return failed


sys.exit(make(*sys.argv[2:]) if sys.argv[1] == "make" else check(*sys.argv[2:]))
