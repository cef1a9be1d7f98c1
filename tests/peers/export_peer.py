#!/usr/bin/env python3
"""One export, opened by transformers as a user opens it, beside what asvr itself computed (answers.c).

    export_peer.py NAME FOLDER ANSWERS QUESTION PICTURES [CHAT]     CHAT: what `asvr chat` said to each picture, a line each

Claims of pixel values, ids, logits and tokens on all PICTURES; exit 1 on any failure."""
import json
import sys
import traceback
import warnings

import numpy as np
import PIL
import torch
import transformers
from PIL import Image
from transformers import AutoProcessor

warnings.filterwarnings("ignore")
name, folder, stem, question, pictures = sys.argv[1:6]
paths = open(pictures).read().split()
new = int(transformers.__version__.split(".")[0]) >= 5
failed = False


def claim(good, text):
    global failed
    failed |= not good
    print("%s transformers %s, %s: %s" % ("ok  " if good else "FAIL", transformers.__version__, name, text), flush=True)


def broken(kind, error, trace):
    claim(False, "%s at line %d: %s" % (kind.__name__, traceback.extract_tb(trace)[0].lineno, str(error).split("\n")[0][:300]))
    sys.__excepthook__(kind, error, trace)


sys.excepthook = broken
with open(stem + ".json") as f:
    ours = json.load(f)
size, vocab, steps, n = ours["size"], ours["vocab"], ours["steps"], len(ours["pictures"])
pixels = np.fromfile(stem + ".pixels", np.uint8).reshape(n, size, size, 3)
logits = np.fromfile(stem + ".logits", np.float32).reshape(n, steps, vocab)

# ---- it opens ----
processor = AutoProcessor.from_pretrained(folder, **({"backend": "pil"} if new else {}))
from transformers import AutoModelForImageTextToText, LlavaForConditionalGeneration  # noqa: E402
model, info = LlavaForConditionalGeneration.from_pretrained(folder, output_loading_info=True)
auto = AutoModelForImageTextToText.from_pretrained(folder)
model.eval()
lost = [k for k in info["missing_keys"] if "rotary" not in k] + list(info["mismatched_keys"])
ownparts = ("visual_head.", "vision_tokenizer.", "appearance_", "denoiser.", "text_model.", "logit_")
strange = [k for k in info["unexpected_keys"] if not k.startswith(ownparts)]
claim(not lost and not strange and type(auto) is type(model) and next(model.parameters()).dtype == torch.float32,
      "%s, %s, %s open it; no weight is missing%s" % (type(processor).__name__, type(processor.tokenizer).__name__, type(model).__name__,
                                                      "".join(" [%s]" % k for k in (lost + strange)[:4])))

# ---- pixel values ----
mean, std = (np.array(getattr(processor.image_processor, k), np.float64) for k in ("image_mean", "image_std"))
want = ((pixels / 255.0 - mean) / std).transpose(0, 3, 1, 2)
images = [Image.open(p).convert("RGB") for p in paths]
seen = np.stack([np.array(processor.image_processor(im, return_tensors="np")["pixel_values"][0]) for im in images])
off = np.abs(seen - want).max((1, 2, 3))
# Pillow resizes rows first; from 13.0 on it begins with columns where a picture becomes wider and lower.
turned = np.array([PIL.__version__ >= "13" and "Siglip" in type(processor.image_processor).__name__ and im.width < size < im.height for im in images])
claim(seen.shape == want.shape and off[~turned].max() < 1e-5, "pixel values of %d pictures, largest difference %.1e%s" % (
    n - turned.sum(), off[~turned].max(), "; of %d that Pillow %s resizes columns first, %.1e" % (turned.sum(), PIL.__version__, off[turned].max())
    if turned.any() else ""))
if new:
    usual = AutoProcessor.from_pretrained(folder).image_processor
    levels = np.abs(np.stack([np.array(usual(im, return_tensors="np")["pixel_values"][0]) for im in images]) - want) * std[:, None, None] * 255
    claim(levels.max() < 1.01, "with %s of torchvision, the default, they are at most %.0f of 255 levels off" % (
        type(usual).__name__, np.ceil(levels.max() - 1e-3)))

# ---- ids ----
token = processor.tokenizer.convert_tokens_to_ids("<image>")
features = model.config.image_seq_length
ids_ours = [sum(([token] * features if t == -200 else [t] for t in p["ids"]), []) for p in ours["pictures"]]
talk = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]}]
prompt = processor.apply_chat_template(talk, add_generation_prompt=True)
bos = processor.tokenizer.bos_token
inputs = [processor(images=im, text=prompt, return_tensors="pt", add_special_tokens=not (bos and prompt.startswith(bos))) for im in images]
same = sum(i["input_ids"][0].tolist() == w for i, w in zip(inputs, ids_ours))
same_ids = same == n
claim(same_ids and token not in (0, processor.tokenizer.unk_token_id),
      "ids of %d of %d prompts by the chat template equal, <image> is %d, %d times%s" % (
          same, n, token, features, "" if same_ids else ": %s, not %s" % (inputs[0]["input_ids"][0].tolist(), ids_ours[0])))

# ---- logits, tokens ----
worst, largest, tokens = 0, 0, 0
eos = model.generation_config.eos_token_id
for i in range(n):
    made = ours["pictures"][i]["tokens"]
    pv = torch.tensor(want[i:i + 1], dtype=torch.float32)
    row = torch.tensor([ids_ours[i] + made])
    with torch.no_grad():
        z = model(input_ids=row, attention_mask=torch.ones_like(row), pixel_values=pv).logits[0, len(ids_ours[i]) - 1:-1].numpy()
        worst = max(worst, np.abs(z[:, :vocab] - logits[i]).max())
        largest = max(largest, np.abs(logits[i]).max())
        model.generation_config.eos_token_id = None
        out = model.generate(input_ids=row[:, :len(ids_ours[i])], attention_mask=torch.ones(1, len(ids_ours[i]), dtype=torch.long),
                             pixel_values=pv, max_new_tokens=steps, do_sample=False, pad_token_id=0)
        model.generation_config.eos_token_id = eos
    tokens += out[0, -steps:].tolist() == made
kinds = len(set(t for p in ours["pictures"] for t in p["tokens"]))
# 1e-4 where logits are below 10; larger ones, as a trained model's of 30 blocks, have as much less of their fp32 behind the point
claim(worst < 1e-4 * max(1, largest / 10), "logits of %d pictures, largest difference %.1e of %.1f" % (n, worst, largest))
claim(tokens == n, "%d greedy tokens of %d of %d pictures equal, %d kinds of them" % (steps, tokens, n, kinds))

# ---- the answers, as a user gets them ----
if len(sys.argv) > 6:
    with open(sys.argv[6], encoding="utf-8") as f:
        said = f.read().split("\n")[:-1]
    theirs = []
    for x in inputs:
        with torch.no_grad():
            out = model.generate(**x, max_new_tokens=32, do_sample=False)
        theirs.append(processor.tokenizer.decode(out[0, x["input_ids"].shape[1]:], skip_special_tokens=True).strip(" \n").replace("\n", "\\n"))
    equal = sum(a == b for a, b in zip(said, theirs))
    claim(equal == n and len(said) == n, "answers of `asvr chat` to %d of %d pictures equal, as \"%.40s\"%s" % (
        equal, n, theirs[0], "" if equal == n else ": asvr %r, transformers %r" % next(((a, b) for a, b in zip(said, theirs) if a != b), (said, theirs))))
sys.exit(failed)
