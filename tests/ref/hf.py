#!/usr/bin/env python3
"""Checks what we export, read by its Hugging Face names alone, and writes tests/golden/hf_golden.h.

    GOLDEN_DIR=DIR build/debug/tests/io/test_hf_golden      writes a folder for each case: weights, config.json, gradients,
                                                            and case.txt: the batch, and what config.json has no word for
    tests/ref/hf.py DIR                                     computes losses and gradients by PyTorch's autograd in float64,
                                                            compares every element, writes the golden numbers; and writes
                                                            DIR/llava_*, small LLaVA models as the hub keeps them
    GOLDEN_DIR=DIR build/debug/tests/io/test_hf_golden      reads those, too

The model is that of transformers (modeling_{siglip,llava,llama,qwen2}.py), of S2 (arXiv:2403.13043), of ASVR's released
visual head (2506.09040) and of a denoising head after ROSS (2410.09575), written from their definitions.  Random numbers are
those of core/rng.h (model.py).  Run from the root with PyTorch 1.13 and NumPy; the output is committed."""
import glob
import json
import math
import os
import struct
import sys

import numpy as np
import torch
import torch.nn.functional as F

from model import U, WRAP, mix, one, stream

torch.set_default_dtype(torch.float64)
IGNORE, IMAGE = -100, -200
EPS_HEAD = 1e-6
TOKENIZER = ("vision_tokenizer.", "appearance_tokenizer.")
WORST = {}                                           # case -> (largest relative error of a gradient, name)


# ---- random numbers at any index ----
def bits(seed, strm, index):
    key = mix(one(seed + 0x9e3779b97f4a7c15)) ^ mix(one(strm * 0xd1342543de82ef95 + 1))
    n = np.asarray(index, dtype=np.int64).astype(U)
    return mix(mix(n * U(0x9e3779b97f4a7c15) + key) + key)


def uniform(seed, strm, index):
    return (bits(seed, strm, index) >> U(11)).astype(np.float64) * 2.0**-53


def normal(seed, strm, index):
    b = bits(seed, strm, index)
    u = ((b >> U(32)).astype(np.float64) + 0.5) * 2.0**-32
    v = (b & U(0xffffffff)).astype(np.float64) * 2.0**-32
    return np.sqrt(-2 * np.log(u)) * np.cos(2 * math.pi * v)


# ---- safetensors ----
def decode(raw, dtype):
    if dtype == "BF16":
        return (np.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4")
    return np.frombuffer(raw, {"F32": "<f4", "F16": "<f2", "I64": "<i8"}[dtype])


def read_safetensors(folder):
    out = {}
    for path in sorted(glob.glob(folder + "/*.safetensors")):
        data = open(path, "rb").read()
        n = struct.unpack("<Q", data[:8])[0]
        head = json.loads(data[8:8 + n])
        head.pop("__metadata__", None)
        for name, t in head.items():
            a, b = t["data_offsets"]
            out[name] = decode(data[8 + n + a:8 + n + b], t["dtype"]).reshape(t["shape"])
    return out


def write_safetensors(path, tensors):
    """tensors: name -> (dtype, shape, bytes)"""
    head, at = {"__metadata__": {"format": "pt"}}, 0
    for name, (dtype, shape, raw) in tensors.items():
        head[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + len(raw)]}
        at += len(raw)
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(t[2] for t in tensors.values()))


class Weights:
    """A folder's tensors by name, in float64; those whose names begin as `learn` says have gradients."""

    def __init__(self, arrays, learn=()):
        self.tensor = {name: torch.from_numpy(np.asarray(x, dtype=np.float64)) for name, x in arrays.items()}
        for name, t in self.tensor.items():
            t.requires_grad_(any(name.startswith(p) for p in learn))

    def __call__(self, name): return self.tensor[name]
    def has(self, name): return name in self.tensor

    def linear(self, x, name):
        return F.linear(x, self(name + ".weight"), self.tensor.get(name + ".bias"))

    def layer_norm(self, x, name, eps):
        return F.layer_norm(x, x.shape[-1:], self(name + ".weight"), self(name + ".bias"), eps)

    def rms_norm(self, x, name, eps):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * self(name + ".weight")


def gelu_tanh(x):
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def split_heads(x, heads):
    return x.unflatten(-1, (heads, -1)).transpose(-3, -2)


# ---- SigLIP: SiglipVisionModel ----
def siglip(w, prefix, c, pixels, layers):
    """pixels (I,3,H,W) in [-1,1] -> hidden_states: embeddings, then after each of `layers` layers, (I,P,C)"""
    e = prefix + "embeddings."
    x = F.conv2d(pixels, w(e + "patch_embedding.weight"), w(e + "patch_embedding.bias"), stride=c["patch_size"])
    states = [x.flatten(2).transpose(1, 2) + w(e + "position_embedding.weight")]
    for i in range(layers):
        p = "%sencoder.layers.%d." % (prefix, i)
        x = states[-1]
        y = w.layer_norm(x, p + "layer_norm1", c["layer_norm_eps"])
        q, k, v = (split_heads(w.linear(y, p + "self_attn.%s_proj" % n), c["num_attention_heads"]) for n in "qkv")
        a = (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1) @ v
        x = x + w.linear(a.transpose(-3, -2).flatten(-2), p + "self_attn.out_proj")
        y = w.layer_norm(x, p + "layer_norm2", c["layer_norm_eps"])
        states.append(x + w.linear(gelu_tanh(w.linear(y, p + "mlp.fc1")), p + "mlp.fc2"))
    return states


def normalised(pictures):
    """(I,H,W,3) bytes -> (I,3,H,W)"""
    return (torch.from_numpy(pictures.astype(np.float64)).permute(0, 3, 1, 2) / 255 - 0.5) / 0.5


def project(w, features):
    return w.linear(F.gelu(w.linear(features, "multi_modal_projector.linear_1")), "multi_modal_projector.linear_2")


# ---- the decoder: LlamaModel, Qwen2Model ----
def rotate_half(x):
    half = x.shape[-1] // 2
    return torch.cat([-x[..., half:], x[..., :half]], -1)


def decoder(w, prefix, c, x):
    """inputs_embeds (T,C) -> last_hidden_state (T,C)"""
    T, heads, kv, eps = len(x), c["num_attention_heads"], c["num_key_value_heads"], c["rms_norm_eps"]
    dim = c["hidden_size"] // heads
    inv_freq = 1.0 / c["rope_theta"] ** (torch.arange(0, dim, 2) / dim)
    angle = torch.outer(torch.arange(T).double(), inv_freq)
    cos, sin = (f(torch.cat([angle, angle], -1)) for f in (torch.cos, torch.sin))
    mask = torch.full((T, T), -math.inf).triu(1)
    for i in range(c["num_hidden_layers"]):
        p = "%slayers.%d." % (prefix, i)
        n = w.rms_norm(x, p + "input_layernorm", eps)
        q, k, v = (split_heads(w.linear(n, p + "self_attn.%s_proj" % s), h) for s, h in (("q", heads), ("k", kv), ("v", kv)))
        q, k = (t * cos + rotate_half(t) * sin for t in (q, k))
        k, v = (t.repeat_interleave(heads // kv, 0) for t in (k, v))
        a = (q @ k.transpose(-1, -2) / math.sqrt(dim) + mask).softmax(-1) @ v
        x = x + w.linear(a.transpose(0, 1).flatten(1), p + "self_attn.o_proj")
        n = w.rms_norm(x, p + "post_attention_layernorm", eps)
        x = x + w.linear(F.silu(w.linear(n, p + "mlp.gate_proj")) * w.linear(n, p + "mlp.up_proj"), p + "mlp.down_proj")
    return w.rms_norm(x, prefix + "norm", eps)


# ---- codes and the visual head ----
def quantize(books, z):
    """z (rows,C) -> (rows,Q); a choice that float32 might make otherwise is no test case"""
    residual, codes = z.detach(), []
    for book in books:
        near = torch.cdist(residual, book).pow(2).sort(-1)
        assert ((near.values[:, 1] - near.values[:, 0]) / near.values[:, 1]).min() > 1e-5
        codes.append(near.indices[:, 0])
        residual = residual - book[codes[-1]]
    return torch.stack(codes, -1)


def head_layer(w, p, x, depth, heads):
    E = x.shape[-1]
    y = w.rms_norm(x, p + "layernorm1", EPS_HEAD).transpose(0, 1)
    a = p + "self_attention."
    y, _ = F.multi_head_attention_forward(
        y, y, y, E, heads, w(a + "in_proj_weight"), w(a + "in_proj_bias"), None, None, False, 0.0, w(a + "out_proj.weight"),
        w(a + "out_proj.bias"), attn_mask=torch.ones(depth, depth, dtype=torch.bool).triu(1), need_weights=False)
    res = w.rms_norm(y.transpose(0, 1) + x, p + "layernorm2", EPS_HEAD)
    w1 = w(p + "linear1.weight").view(2 * E, depth, E)
    w2 = w(p + "linear2.weight").view(E, depth, 2 * E)
    hidden = F.gelu(torch.einsum("bld,tld->blt", res, w1))
    return res + torch.einsum("blt,dlt->bld", hidden, w2)


def head_logits(w, p, g, codes, books, c):
    """hidden rows g (rows,C), codes (rows,Q) -> Q tensors (rows,S)"""
    Q = c["codes_depth"]
    e0 = w.linear(F.gelu(w.linear(g, p + "projector.0")), p + "projector.2")
    emb = torch.stack([books[k][codes[:, k]] for k in range(Q)], 1)
    x = torch.cat([e0[:, None], w.linear(emb.cumsum(1), p + "in_mlp_1")[:, :-1]], 1)
    for i in range(c["head_layers"]):
        x = head_layer(w, "%shead_transformer.%d." % (p, i), x, Q, c["head_heads"])
    x = w.rms_norm(x, p + "headnorm", EPS_HEAD)
    if not w.has(p + "tie.weight"):
        return [w.linear(x[:, k], p + "heads.%d" % k) for k in range(Q)]
    y = w.linear(x, p + "tie") / math.sqrt(books[0].shape[-1])
    return [y[:, k] @ books[k].T + w(p + "heads.%d.bias" % k) for k in range(Q)]


def softened(book, tau):
    """(S,S): the distribution over codes that each code stands for"""
    d = torch.cdist(book, book, compute_mode="donot_use_mm_for_euclid_dist").pow(2)
    S, m = len(book), min(8, len(book))
    others = (d + torch.diag(torch.full((S,), math.inf))).sort(stable=True, dim=-1)
    p = torch.zeros(S, S)
    mean = others.values[:, 0].mean()
    for s in range(S):
        near = [s] + others.indices[s, :m - 1].tolist()
        p[s, near] = (-d[s, near] / (tau * mean)).softmax(-1)
    return p


def head_losses(w, branch, g, codes, case):
    books = codebooks(w, TOKENIZER[branch], case.asvr)
    logits = head_logits(w, ("visual_head.", "appearance_head.")[branch], g, codes, books, case.asvr)
    if case.soft == 0:
        return [F.cross_entropy(z, codes[:, k]) for k, z in enumerate(logits)]
    return [-(softened(books[k], case.soft)[codes[:, k]] * z.log_softmax(-1)).sum(-1).mean() for k, z in enumerate(logits)]


def codebooks(w, p, c):
    return [w(p + "codebooks.%d.weight" % (0 if c["codes_shared"] else k)) for k in range(c["codes_depth"])]


# ---- the denoising head ----
def kept(t):
    def f(s): return math.cos(math.pi / 2 * (s / 1000 + 0.008) / 1.008) ** 2
    return f(t) / f(0) if t < 1000 else 1e-3 * f(999) / f(0)


def denoising_loss(w, images, case):
    """images: of each picture hidden rows (n,C), clean features (n,Cv), the patches' numbers in the global batch (n)"""
    E, total, rows = w("denoiser.in.w").shape[0], 0, 0
    wave = 10000.0 ** (-2 * torch.arange(E // 2) / E)

    def lin(x, name): return F.linear(x, w("denoiser.%s.w" % name), w("denoiser.%s.b" % name))
    def norm(x, name): return F.layer_norm(x, (E,), w("denoiser.%s.w" % name), w("denoiser.%s.b" % name), 1e-6)

    for g, z, key in images:
        x0 = F.layer_norm(z.detach(), z.shape[-1:], eps=1e-6)
        Cv = z.shape[-1]
        for k in range(case.draws):
            nth = [case.step * case.draws + k]
            noise, time = (int(bits(case.seed, stream("denoise." + s), nth)[0]) for s in ("noise", "time"))
            t = 1 + int(1000 * uniform(case.seed, time, key[:1])[0])
            eps = normal(case.seed, noise, np.asarray(key)[:, None] * Cv + np.arange(Cv)).astype(np.float32)
            eps = torch.from_numpy(eps.astype(np.float64))
            x = math.sqrt(kept(t)) * x0 + math.sqrt(1 - kept(t)) * eps
            when = lin(F.gelu(lin(torch.cat([(t * wave).cos(), (t * wave).sin()]), "time1")), "time2")
            y = lin(x, "in") + lin(g, "cond") + when
            for i in range(case.asvr["head_layers"]):
                y = denoising_block(w, y, "denoiser.%d." % i, case.asvr["head_heads"])
            total = total + (lin(norm(y, "norm"), "out") - eps).pow(2).mean(-1).sum() / case.draws
        rows += len(g)
    return total / rows


def denoising_block(w, x, p, heads):
    """The names of this head are our own; its blocks are SigLIP's."""
    n = F.layer_norm(x, x.shape[-1:], w(p + "ln1.w"), w(p + "ln1.b"), 1e-6)
    q, k, v = (split_heads(F.linear(n, w(p + "attn.w" + s), w(p + "attn.b" + s)), heads) for s in "qkv")
    a = ((q @ k.transpose(-1, -2)) / math.sqrt(q.shape[-1])).softmax(-1) @ v
    x = x + F.linear(a.transpose(0, 1).flatten(1), w(p + "attn.wo"), w(p + "attn.bo"))
    n = F.layer_norm(x, x.shape[-1:], w(p + "ln2.w"), w(p + "ln2.b"), 1e-6)
    return x + F.linear(gelu_tanh(F.linear(n, w(p + "ffn.w1"), w(p + "ffn.b1"))), w(p + "ffn.w2"), w(p + "ffn.b2"))


# ---- a case ----
class Case:
    """case.txt: a word and its numbers a line; and the folder's config.json"""

    def __init__(self, folder):
        text = dict((line.split()[0], line.split()[1:]) for line in open(folder + "/case.txt"))
        self.trainable = [p for p in text.pop("trainable")[0].split(",") if p]
        for key, v in text.items():
            numbers = [float(x) if "." in x or "e" in x else int(x) for x in v]
            setattr(self, key, numbers if len(numbers) != 1 or key in ("visual", "image_start") else numbers[0])
        self.config = json.load(open(folder + "/config.json"))
        self.asvr = self.config.get("asvr", {})
        self.images = self.image_start[-1]
        self.pixels = np.array(self.pixels, dtype=np.uint8).reshape(self.images, self.side, self.side, 3)


PARTS = {"vision": "vision_tower.", "projector": "multi_modal_projector.", "decoder": "language_model.",
         "head": "visual_head.", "app_head": "appearance_head.", "denoiser": "denoiser."}


def chessboard(x, n):
    """(I,...,n s,n s) -> n n pieces of (I,...,s,s), row by row"""
    return [c for r in x.chunk(n, -2) for c in r.chunk(n, -1)]


def resized(pixels, size, mode):
    return F.interpolate(pixels, (size, size), mode=mode, align_corners=False)


class Seen:
    """What a case's pictures give: features for the projector, features of the codes' layers, codes."""

    def __init__(self, w, case):
        self.w, self.case, self.asvr, self.tower = w, case, case.asvr, case.config["vision_config"]
        self.pixels = normalised(case.pixels)

    def hidden(self, prefix, pixels, layers):
        return siglip(self.w, prefix, self.tower, pixels, layers)[layers]

    def features(self):
        """(I,P,n Cv)"""
        if self.case.discrete:
            codes, books = self.codes(0), codebooks(self.w, "vision_tokenizer.", self.asvr)
            return sum(book[codes[:, k]] for k, book in enumerate(books)).unflatten(0, (self.case.images, -1))
        return torch.cat([self.at_scale(n) for n in range(1, self.case.scales + 1)], 1).flatten(2).transpose(1, 2)

    def at_scale(self, n):
        """S2: the picture n times the tower's size, seen by tiles, its grid brought back to the tower's: (I,Cv,side,side)"""
        layers = self.tower["num_hidden_layers"] + 1 + self.case.config["vision_feature_layer"]
        x = self.pixels if n == self.case.scales else resized(self.pixels, n * self.tower["image_size"], "bicubic")
        grids = []
        for tile in chessboard(x, n):
            h = self.hidden("vision_tower.vision_model.", tile, layers)
            side = math.isqrt(h.shape[1])
            grids.append(h.transpose(1, 2).unflatten(-1, (side, side)))
        whole = torch.cat([torch.cat(grids[r * n:(r + 1) * n], -1) for r in range(n)], -2)
        return F.adaptive_avg_pool2d(whole, side)

    def clean(self, branch):
        """(I P,Cv) features of the codes' layer, of the picture in the tower's own size"""
        small = self.pixels if self.case.scales == 1 else resized(self.pixels, self.tower["image_size"], "bilinear")
        prefix = "vision_tokenizer.vision_model." if self.case.own_tower else "vision_tower.vision_model."
        return self.hidden(prefix, small, self.case.vision_layers + 1 + self.case.codes_layer[branch]).flatten(0, 1)

    def codes(self, branch):
        """(I P,Q)"""
        Q = self.asvr["codes_depth"]
        if self.case.codes_given:
            return torch.tensor(self.case.codes).view(-1, self.case.codes_given)[:, branch * Q:(branch + 1) * Q]
        return quantize(codebooks(self.w, TOKENIZER[branch], self.asvr), self.clean(branch))


def merged(case, b, image_rows, embed):
    """Sequence b, pictures in place, cut: rows, labels, of each row (patch, its number in the global batch) or None."""
    rows, learn, patch, P = [], [], [], image_rows.shape[1]
    image = case.image_start[b]
    for j in range(case.token_start[b], case.token_start[b + 1]):
        if case.tokens[j] == IMAGE:
            number = (case.first + b) * 65536 + image - case.image_start[b]
            rows += list(image_rows[image])
            learn += [IGNORE] * P
            patch += [(image * P + p, number * P + p) for p in range(P)]
            image += 1
        else:
            rows.append(embed[case.tokens[j]])
            learn.append(case.labels[j])
            patch.append(None)
    return torch.stack(rows[:case.max_len]), torch.tensor(learn[:case.max_len]), patch[:case.max_len]


def language_losses(w, case):
    """-> text loss, [visual losses]: by depth, the semantic codes' first"""
    seen, shift, word = Seen(w, case), case.asvr["visual_shift"], case.asvr["supervision"]
    image_rows = project(w, seen.features())
    text, n_text, rows, patches, keys = 0, 0, [], [], []
    for b in range(len(case.token_start) - 1):
        x, learn, patch = merged(case, b, image_rows, w("language_model.model.embed_tokens.weight"))
        h = decoder(w, "language_model.model.", case.config["text_config"], x)
        logits = w.linear(h, "language_model.lm_head")
        text = text + F.cross_entropy(logits[:-1], learn[1:], ignore_index=IGNORE, reduction="sum")
        n_text += int((learn[1:] != IGNORE).sum())
        for i, p in enumerate(patch):
            if p is not None and i >= shift:
                rows.append(h[i - shift])
                patches.append(p[0])
                keys.append(p[1])
    g, visual = torch.stack(rows), []
    for branch in {"semantic": [0], "appearance": [1], "both": [0, 1]}.get(word, []):
        visual += head_losses(w, branch, g, seen.codes(branch)[patches], case)
    if word == "denoising":
        z, P = seen.clean(0)[patches], image_rows.shape[1]
        pictures = [[i for i, p in enumerate(patches) if p // P == image] for image in range(case.images)]
        visual.append(denoising_loss(w, [(g[s], z[s], [keys[i] for i in s]) for s in pictures if s], case))
    return text / n_text, visual


# ---- the golden numbers ----
def number(v, digits=8):
    return "%.*g" % (digits, v if abs(v) > 1e-12 else 0)


def directions(n):
    i = np.arange(n, dtype=np.float64)
    for a, b in ((0.1, 0.7), (0.3, 1.9)):
        d = np.cos(a + b * i)
        yield d / np.linalg.norm(d)


def close(what, got, want, size, most):
    error = abs(got - want) / size
    if not error <= most:
        sys.exit("%s: ours %.9g, PyTorch's %.9g, off by %.2e" % (what, got, want, error))
    return error


def golden_case(out, name, folder):
    case = Case(folder)
    w = Weights(read_safetensors(folder), [PARTS[p] for p in case.trainable])
    text, visual = language_losses(w, case)
    depths = 1 if case.asvr.get("supervision") == "denoising" else case.asvr.get("codes_depth", 1)
    total = text + case.visual_weight * sum(visual) / depths
    total.backward()
    close(name + ", text loss", case.text, float(text), float(text), 1e-5)
    assert len(visual) == len(case.visual)
    for k, v in enumerate(visual):
        close("%s, visual loss %d" % (name, k), case.visual[k], float(v), float(v), 1e-5)
    close(name + ", loss", case.loss, float(total), float(total), 1e-5)
    ours = read_safetensors(folder + "/gradients")
    learned = {n: (torch.zeros_like(t) if t.grad is None else t.grad).numpy()
               for n, t in w.tensor.items() if t.requires_grad}
    if set(ours) != set(learned):
        sys.exit("%s: gradients of %s in one program only" % (name, sorted(set(ours) ^ set(learned))))
    whole = math.sqrt(sum((g**2).sum() for g in learned.values()))
    worst = (0, "")
    for n, g in learned.items():
        size = np.linalg.norm(g)
        size = size if size > 1e-9 * whole else whole          # vanishes by construction: the bias of keys
        error = np.linalg.norm(ours[n].astype(np.float64) - g) / size
        if not error < 1e-4:
            sys.exit("%s: gradient of %s off by %.2e of its norm" % (name, n, error))
        worst = max(worst, (error, n))
    WORST[name] = worst
    print("%-14s loss %.6f, %3d gradients, worst %.1e %s" % (name, total, len(learned), *worst), flush=True)
    out.write("static const HfGradient %s_gradients[] = {\n" % name)
    for n, g in sorted(learned.items()):
        along = ", ".join(number(g.flatten() @ d) for d in directions(g.size))
        out.write('    { "%s", %s, { %s } },\n' % (n, number(np.linalg.norm(g)), along))
    out.write("    { 0 }\n};\n\n")
    return ('    { "%s", %.12g, %.12g, { %s }, %s_gradients },\n'
            % (name, total, text, ", ".join("%.12g" % v for v in visual) or "0", name))


# ---- LLaVA as the hub keeps it, from random numbers that have the tensor's name ----
LLAVA_SEED, LLAVA_TOKENS = 11, [1, 7, IMAGE, 9, 4, 5, 2, 3]


def llava_shapes(bias):
    """name -> shape; a tower with a last norm that nobody uses, and positions that are no weights"""
    C, Fv, D, Fd, V, kv = 144, 40, 48, 56, 40, 12
    v, m = "vision_tower.vision_model.", "language_model.model."
    s = {v + "embeddings.patch_embedding.weight": (C, 3, 4, 4), v + "embeddings.patch_embedding.bias": (C,),
         v + "embeddings.position_embedding.weight": (9, C)}
    for i in range(4):
        p = "%sencoder.layers.%d." % (v, i)
        linears = [("self_attn.%s_proj" % k, C, C) for k in ("k", "v", "q", "out")]
        linears += [("mlp.fc1", Fv, C), ("mlp.fc2", C, Fv)]
        for n, rows, cols in linears:
            s[p + n + ".weight"], s[p + n + ".bias"] = (rows, cols), (rows,)
        for n in ("layer_norm1", "layer_norm2"):
            s[p + n + ".weight"] = s[p + n + ".bias"] = (C,)
    s[v + "post_layernorm.weight"] = s[v + "post_layernorm.bias"] = (C,)
    for i, cols in ((1, C), (2, D)):
        s["multi_modal_projector.linear_%d.weight" % i], s["multi_modal_projector.linear_%d.bias" % i] = (D, cols), (D,)
    s[m + "embed_tokens.weight"] = s["language_model.lm_head.weight"] = (V, D)
    for i in range(2):
        p = "%slayers.%d." % (m, i)
        for n, rows, cols in (("self_attn.q_proj", D, D), ("self_attn.k_proj", kv, D), ("self_attn.v_proj", kv, D),
                              ("self_attn.o_proj", D, D), ("mlp.gate_proj", Fd, D), ("mlp.up_proj", Fd, D),
                              ("mlp.down_proj", D, Fd)):
            s[p + n + ".weight"] = (rows, cols)
            if bias and n[10:] in ("q_proj", "k_proj", "v_proj"):
                s[p + n + ".bias"] = (rows,)
        s[p + "input_layernorm.weight"] = s[p + "post_attention_layernorm.weight"] = (D,)
    s[m + "norm.weight"] = (D,)
    return s


def llava_value(name, shape):
    """One-dimensional weights are norms and lie around 1."""
    n = int(np.prod(shape))
    x = 0.1 * normal(LLAVA_SEED, stream(name), np.arange(n))
    return (x + (1 if len(shape) == 1 and name.endswith(".weight") else 0)).astype(np.float32).reshape(shape)


def llava_config(bias):
    return {"architectures": ["LlavaForConditionalGeneration"], "model_type": "llava", "image_token_index": 32000,
            "projector_hidden_act": "gelu", "vision_feature_layer": -2, "vision_feature_select_strategy": "full",
            "vision_config": {"model_type": "siglip_vision_model", "hidden_size": 144, "intermediate_size": 40,
                              "num_hidden_layers": 4, "num_attention_heads": 2, "image_size": 13, "patch_size": 4,
                              "hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-6},
            "text_config": {"model_type": "qwen2" if bias else "llama", "hidden_size": 48, "intermediate_size": 56,
                            "num_hidden_layers": 2, "num_attention_heads": 8, "num_key_value_heads": 2, "vocab_size": 40,
                            "rope_theta": 10000.0, "rms_norm_eps": 1e-5, "hidden_act": "silu"}}


TYPE = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def llava_case(out, name, dtype, bias, root):
    raw, arrays, shapes = {}, {}, llava_shapes(bias)
    for n, shape in shapes.items():
        x = torch.from_numpy(llava_value(n, shape)).to(TYPE[dtype])
        arrays[n] = x.double().numpy()
        raw[n] = (dtype, shape, (x.view(torch.int16) if dtype == "BF16" else x).numpy().tobytes())
    folder, config = "%s/%s" % (root, name), llava_config(bias)
    os.makedirs(folder, exist_ok=True)
    write_safetensors(folder + "/model.safetensors", raw)
    json.dump(config, open(folder + "/config.json", "w"), indent=2)
    w = Weights(arrays)
    picture = (bits(1, 2, np.arange(13 * 13 * 3)).astype(object) * 256 >> 64).astype(np.uint8).reshape(1, 13, 13, 3)
    states = siglip(w, "vision_tower.vision_model.", config["vision_config"], normalised(picture), 4)
    rows = project(w, states[config["vision_feature_layer"]])[0]
    embed = w("language_model.model.embed_tokens.weight")
    x = torch.cat([rows if t == IMAGE else embed[t][None] for t in LLAVA_TOKENS])
    h = decoder(w, "language_model.model.", config["text_config"], x)
    logits = w.linear(h, "language_model.lm_head").detach()
    out.write("static const double %s_logits[] = { /* (%d,%d) */\n" % (name, *logits.shape))
    for row in logits:
        out.write("    %s,\n" % ", ".join(number(float(v), 7) for v in row))
    out.write("};\nstatic const HfShape %s_shapes[] = {\n" % name)
    for n, shape in shapes.items():
        out.write('    { "%s", %d, { %s } },\n' % (n, len(shape), ", ".join(map(str, shape))))
    out.write("    { 0 }\n};\n")
    print("%-14s %d tensors, logits %s, norm %.6f" % (name, len(raw), tuple(logits.shape), logits.norm()))
    return '    { "%s", ST_%s, %s, %s_shapes, %s_logits },\n' % (name, dtype, str(bias).lower(), name, name)


def main(root):
    temporary = "tests/golden/hf_golden.h.tmp"
    out = open(temporary, "w")
    out.write("/* Written by tests/ref/hf.py with PyTorch %s from exported weights: losses; for each learned tensor, by its\n"
              "   Hugging Face name, the norm of its gradient and the components along cos(0.1 + 0.7 i) and\n"
              "   cos(0.3 + 1.9 i), made unit vectors; logits of small LLaVA models.  All in float64. */\n\n"
              % torch.__version__.split("+")[0])
    names = open(root + "/cases").read().split()
    table = [golden_case(out, n, "%s/%s" % (root, n)) for n in names]
    out.write("static const HfGolden HF_GOLDEN[] = {\n%s};\n\n" % "".join(table))
    llava = (("llava_f32", "F32", False), ("llava_f16", "F16", False), ("llava_bf16", "BF16", True))
    table = [llava_case(out, *c, root) for c in llava]
    out.write("\nstatic const HfLlava HF_LLAVA_GOLDEN[] = {\n%s};\n" % "".join(table))
    out.close()
    os.rename(temporary, "tests/golden/hf_golden.h")
    print("worst of all: %.1e %s" % max(WORST.values()))


if __name__ == "__main__":
    main(sys.argv[1])
