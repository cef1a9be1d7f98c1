#!/usr/bin/env python3
"""Writes tests/golden/model_golden.h: losses and gradients of the whole model, by PyTorch's autograd in float64.

The model is written from its papers and from the definitions of PyTorch and Hugging Face: SigLIP (arXiv:2303.15343),
LLaMA with grouped queries, biases and rotate-half RoPE (2302.13971), the residual quantizer and the depth transformer
of ASVR (2506.09040).  What it shares with the C program is data: the sizes and the batch of tests/core/model_case.h,
and weights and random directions from the counter-based generator of core/rng.h.
Run from the root with PyTorch 1.13 and NumPy; the output is committed."""
import math

import numpy as np
import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
IGNORE, IMAGE = -100, -200
DIRECTIONS = 3

# ---- the generator: value = f(seed, stream, index), in 64-bit integers that wrap around ----
U = np.uint64
WRAP = (1 << 64) - 1


def mix(z):
    z = (z ^ (z >> U(30))) * U(0xbf58476d1ce4e5b9)
    z = (z ^ (z >> U(27))) * U(0x94d049bb133111eb)
    return z ^ (z >> U(31))


def one(x):
    return np.array([x & WRAP], dtype=U)


def stream(name):
    h = 0xcbf29ce484222325
    for c in name.encode():
        h = ((h ^ c) * 0x100000001b3) & WRAP
    return int(mix(one(h))[0])


def bits(seed, strm, n):
    key = mix(one(seed + 0x9e3779b97f4a7c15)) ^ mix(one(strm * 0xd1342543de82ef95 + 1))
    return mix(mix(np.arange(n, dtype=U) * U(0x9e3779b97f4a7c15) + key) + key)


def uniform(seed, strm, n):
    return (bits(seed, strm, n) >> U(11)).astype(np.float64) * 2.0**-53


def normal(seed, strm, n):
    b = bits(seed, strm, n)
    u = ((b >> U(32)).astype(np.float64) + 0.5) * 2.0**-32
    v = (b & U(0xffffffff)).astype(np.float64) * 2.0**-32
    return np.sqrt(-2 * np.log(u)) * np.cos(2 * math.pi * v)


def below(limit, seed, strm, n):
    return np.array([(int(b) * limit) >> 64 for b in bits(seed, strm, n)])


# ---- the sizes of tests/core/model_case.h ----
class Vision:
    C, F, H, eps, image, patch, P = 12, 20, 2, 1e-6, 13, 4, 9


class Text:
    C, F, H, L, eps, max_len = 16, 24, 2, 2, 1e-6, 6


class Decoder:
    C, F, H, K, L, V, theta, eps = 24, 36, 4, 2, 2, 40, 10000.0, 1e-5


class Head:
    E, L, H, Q, S, eps = 16, 2, 2, 3, 10, 1e-6


VISION_LAYERS, FEATURE_LAYERS, CODE_LAYERS = 3, 2, 1        # select_layer -2 and codes_layer -3 of 3 + 1 hidden states
MAX_LEN, VISUAL_WEIGHT, SEED, SHAKE = 18, float(np.float32(0.7)), 5, np.float32(0.1)


class Weights:
    """Tensors by name, made when first asked for; float32 values, computed with in float64."""

    def __init__(self, trainable):
        self.trainable, self.tensor = trainable.split(","), {}

    def make(self, name, shape, initial):
        if name not in self.tensor:
            n = int(np.prod(shape))
            value = initial(stream(name), n).astype(np.float32) + SHAKE * normal(9, stream(name), n).astype(np.float32)
            t = torch.from_numpy(value.astype(np.float64)).reshape(shape)
            t.requires_grad_(name.split(".")[0] in self.trainable)
            self.tensor[name] = t
        return self.tensor[name]

    def ones(self, name, n): return self.make(name, (n,), lambda s, m: np.ones(m))
    def zeros(self, name, n): return self.make(name, (n,), lambda s, m: np.zeros(m))
    def constant(self, name, v): return self.make(name, (1,), lambda s, m: np.full(m, v))
    def normal(self, name, *shape): return self.make(name, shape, lambda s, m: 0.02 * normal(SEED, s, m))
    def unit(self, name, *shape): return self.make(name, shape, lambda s, m: normal(SEED, s, m))

    def fan_in(self, name, *shape):
        return self.make(name, shape, lambda s, m: (2 * uniform(SEED, s, m) - 1) / math.sqrt(shape[-1]))

    def linear(self, x, name, bias, rows):
        return F.linear(x, self.fan_in(name, rows, x.shape[-1]), self.zeros(bias, rows))

    def layer_norm(self, x, name, eps):
        return F.layer_norm(x, x.shape[-1:], self.ones(name + ".w", x.shape[-1]), self.zeros(name + ".b", x.shape[-1]), eps)

    def rms_norm(self, x, name, eps):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * self.ones(name, x.shape[-1])

    def attention(self, query, key, name, heads, mask=None):
        """nn.MultiheadAttention: (queries, C) and (keys, C) of a single sequence, or batches of them in the middle."""
        C = query.shape[-1]
        w = torch.cat([self.fan_in("%s.w%s" % (name, k), C, C) for k in "qkv"])
        b = torch.cat([self.zeros("%s.b%s" % (name, k), C) for k in "qkv"])
        out, _ = F.multi_head_attention_forward(
            query, key, key, C, heads, w, b, None, None, False, 0.0, self.fan_in(name + ".wo", C, C),
            self.zeros(name + ".bo", C), attn_mask=mask, need_weights=False)
        return out


def gelu_tanh(x):
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


# ---- SigLIP ----
def siglip_mlp(w, x, part, d):
    return w.linear(gelu_tanh(w.linear(x, part + ".ffn.w1", part + ".ffn.b1", d.F)), part + ".ffn.w2", part + ".ffn.b2", d.C)


def siglip_layer(w, x, part, d):
    """x (tokens, C)"""
    y = w.layer_norm(x, part + ".ln1", d.eps)
    x = x + w.attention(y, y, part + ".attn", d.H)
    return x + siglip_mlp(w, w.layer_norm(x, part + ".ln2", d.eps), part, d)


def vision_states(w, picture, layers):
    """Hidden states of one picture (H,W,3) of bytes: [embeddings, after layer 0, ...], each (P,C)."""
    d = Vision
    x = (torch.from_numpy(picture.astype(np.float64)).permute(2, 0, 1) / 255 - 0.5) / 0.5
    kernel = w.fan_in("vision.patch.w", d.C, 3 * d.patch * d.patch).reshape(d.C, 3, d.patch, d.patch)
    x = F.conv2d(x[None], kernel, w.zeros("vision.patch.b", d.C), stride=d.patch)
    states = [x[0].flatten(1).T + w.normal("vision.pos", d.P, d.C)]
    for layer in range(layers):
        states.append(siglip_layer(w, states[-1], "vision.%d" % layer, d))
    return states


def pooled_picture(w, picture):
    d = Vision
    x = w.layer_norm(vision_states(w, picture, VISION_LAYERS)[-1], "pool.ln", d.eps)
    y = w.attention(w.normal("pool.probe", 1, d.C), x, "pool.attn", d.H)
    return (y + siglip_mlp(w, w.layer_norm(y, "pool.ln2", d.eps), "pool", d))[0]


def pooled_text(w, tokens):
    d = Text
    ids = torch.tensor([t for t in tokens if t >= 0][:d.max_len])
    x = w.normal("text.embed", Decoder.V, d.C)[ids] + w.normal("text.pos", d.max_len, d.C)[:len(ids)]
    for layer in range(d.L):
        x = siglip_layer(w, x, "text.%d" % layer, d)
    return w.linear(w.layer_norm(x[-1], "text.ln", d.eps), "text.proj.w", "text.proj.b", Vision.C)


def contrast_loss(w, batch):
    v = F.normalize(torch.stack([pooled_picture(w, p) for p in batch.pixels]), dim=-1)
    t = F.normalize(torch.stack([pooled_text(w, s) for s in batch.tokens]), dim=-1)
    scale, bias = w.constant("contrast.scale", np.float32(2.302585)), w.constant("contrast.bias", np.float32(-10))
    logits = v @ t.T * scale.exp() + bias
    sign = 2 * torch.eye(len(v)) - 1
    return -F.logsigmoid(sign * logits).sum() / len(v)


# ---- LLaMA ----
def rotate_half(x):
    half = x.shape[-1] // 2
    return torch.cat([-x[..., half:], x[..., :half]], -1)


def rope(x, theta):
    """x (heads, T, D)"""
    T, D = x.shape[-2:]
    inv_freq = theta ** -(torch.arange(0, D, 2) / D)
    angle = torch.outer(torch.arange(T).double(), inv_freq)
    angle = torch.cat([angle, angle], -1)
    return x * angle.cos() + rotate_half(x) * angle.sin()


def llama_layer(w, x, part):
    d = Decoder
    T, D = len(x), d.C // d.H
    n = w.rms_norm(x, part + ".attn.norm", d.eps)

    def project(kind, heads):
        y = F.linear(n, w.normal("%s.attn.w%s" % (part, kind), heads * D, d.C), w.zeros("%s.attn.b%s" % (part, kind), heads * D))
        return y.reshape(T, heads, D).transpose(0, 1)

    q, k, v = rope(project("q", d.H), d.theta), rope(project("k", d.K), d.theta), project("v", d.K)
    k, v = (t.repeat_interleave(d.H // d.K, 0) for t in (k, v))
    score = q @ k.transpose(1, 2) / math.sqrt(D) + torch.full((T, T), -math.inf).triu(1)
    out = (score.softmax(-1) @ v).transpose(0, 1).reshape(T, d.C)
    x = x + F.linear(out, w.normal(part + ".attn.wo", d.C, d.C))
    n = w.rms_norm(x, part + ".ffn.norm", d.eps)
    gate, up = (F.linear(n, w.normal("%s.ffn.%s" % (part, k), d.F, d.C)) for k in ("gate", "up"))
    return x + F.linear(F.silu(gate) * up, w.normal(part + ".ffn.down", d.C, d.F))


def llama(w, x):
    for layer in range(Decoder.L):
        x = llama_layer(w, x, "decoder.%d" % layer)
    return w.rms_norm(x, "decoder.norm", Decoder.eps)


# ---- codes and the visual head ----
def codebook(w, k, shared):
    return w.unit("codes.%d.table" % (0 if shared else k), Head.S, Vision.C)


def quantize(w, z, shared):
    """(P,C) -> (P,Q); a choice that float32 might make otherwise is no test case"""
    residual, codes = z.detach(), []
    for k in range(Head.Q):
        near = torch.cdist(residual, codebook(w, k, shared)).pow(2).sort(-1)
        assert (near.values[:, 1] - near.values[:, 0]).min() > 1e-4
        codes.append(near.indices[:, 0])
        residual = residual - codebook(w, k, shared)[codes[-1]]
    return torch.stack(codes, -1)


def depth_layer(w, x, part):
    """x (rows, Q, E)"""
    d = Head
    y = w.rms_norm(x, part + ".norm1", d.eps).transpose(0, 1)
    mask = torch.ones(d.Q, d.Q, dtype=torch.bool).triu(1)
    a = w.attention(y, y, part + ".attn", d.H, mask).transpose(0, 1)
    res = w.rms_norm(a + x, part + ".norm2", d.eps)
    w1 = torch.stack([w.fan_in("%s.ffn.%d.w1" % (part, k), 2 * d.E, d.E) for k in range(d.Q)], 1)     # (2E,Q,E)
    w2 = torch.stack([w.fan_in("%s.ffn.%d.w2" % (part, k), d.E, 2 * d.E) for k in range(d.Q)], 1)     # (E,Q,2E)
    hidden = F.gelu(torch.einsum("bld,tld->blt", res, w1))
    return res + torch.einsum("blt,dlt->bld", hidden, w2)


def visual_logits(w, g, codes, shared):
    """hidden rows g (rows, C), codes (rows, Q) -> Q tensors (rows, S)"""
    d = Head
    e0 = w.linear(F.gelu(w.linear(g, "head.p0.w", "head.p0.b", d.E)), "head.p2.w", "head.p2.b", d.E)
    emb = torch.stack([codebook(w, k, shared)[codes[:, k]] for k in range(d.Q)], 1)
    u = w.linear(emb.cumsum(1), "head.in.w", "head.in.b", d.E)
    x = torch.cat([e0[:, None], u[:, :-1]], 1)
    for layer in range(d.L):
        x = depth_layer(w, x, "head.%d" % layer)
    x = w.rms_norm(x, "head.norm", d.eps)
    return [w.linear(x[:, k], "head.code.%d.w" % k, "head.code.%d.b" % k, d.S) for k in range(d.Q)]


def merged(tokens, labels, pictures, embed):
    """One sequence with its pictures in place, cut at MAX_LEN: rows, labels, and of each row (picture, patch) or None."""
    rows, learn, patch = [], [], []
    pictures = iter(pictures)
    for t, y in zip(tokens, labels):
        if t == IMAGE:
            which, image_rows = next(pictures)
            rows += list(image_rows)
            learn += [IGNORE] * len(image_rows)
            patch += [(which, p) for p in range(len(image_rows))]
        else:
            rows.append(embed[t])
            learn.append(y)
            patch.append(None)
    return torch.stack(rows[:MAX_LEN]), learn[:MAX_LEN], patch[:MAX_LEN]


def language_losses(w, batch, shift, semantic, given, shared):
    """-> text loss, [visual loss of each depth], codes (I,P,Q) or None"""
    states = [vision_states(w, p, FEATURE_LAYERS) for p in batch.pixels]
    d = Decoder

    def project(x):
        x = w.linear(x, "projector.0.w", "projector.0.b", d.C)
        return w.linear(F.gelu(x), "projector.1.w", "projector.1.b", d.C)

    image_rows = [project(s[-1]) for s in states]
    codes = None
    if semantic:
        codes = torch.from_numpy(batch.codes) if given else torch.stack([quantize(w, s[CODE_LAYERS], shared) for s in states])
    embed, lm_head = w.normal("decoder.embed", d.V, d.C), w.normal("decoder.lm_head", d.V, d.C)
    text, n_text, seen, targets = 0, 0, [], []
    for b, (tokens, labels) in enumerate(zip(batch.tokens, batch.labels)):
        mine = range(batch.image_start[b], batch.image_start[b + 1])
        x, learn, patch = merged(tokens, labels, [(i, image_rows[i]) for i in mine], embed)
        h = llama(w, x)
        want = torch.tensor(learn[1:])
        text = text + F.cross_entropy(h[:-1] @ lm_head.T, want, ignore_index=IGNORE, reduction="sum")
        n_text += int((want != IGNORE).sum())
        for row, p in enumerate(patch):
            if semantic and p is not None and row >= shift:
                seen.append(h[row - shift])
                targets.append(codes[p[0], p[1]])
    if not semantic:
        return text / n_text, [], None
    targets = torch.stack(targets)
    logits = visual_logits(w, torch.stack(seen), targets, shared)
    return text / n_text, [F.cross_entropy(z, targets[:, k]) for k, z in enumerate(logits)], codes


# ---- the batch of tests/core/model_case.h ----
class Batch:
    def __init__(self, one_each):
        layout = [[1, 7, IMAGE, 9, 4, 5, 2, 3], [1, IMAGE, 6, IMAGE, 8, 8, 2, 3], [1, 11, 12, 13, 14, 15, 2, 3]]
        self.tokens = [[IMAGE if j == 1 else layout[2][j] + b for j in range(8)] for b in range(3)] if one_each else layout
        self.labels = [[t if j > 2 and t >= 0 else IGNORE for j, t in enumerate(s)] for s in self.tokens]
        self.image_start = [0, 1, 2, 3] if one_each else [0, 1, 3, 3]
        self.pixels = below(256, 1, 2, 3 * 13 * 13 * 3).astype(np.uint8).reshape(3, 13, 13, 3)
        self.codes = below(Head.S, 1, 3, 3 * 9 * 3).reshape(3, 9, 3)


# ---- the golden numbers ----
def number(v):
    return "%.12g" % (v if abs(v) > 1e-12 else 0)          # what vanishes by construction is noise: another one each time


def numbers(values):
    return "{ " + ", ".join(map(number, values)) + " }"


def tensor_line(name, t):
    g = (torch.zeros_like(t) if t.grad is None else t.grad).flatten().numpy()
    along = []
    for k in range(DIRECTIONS):
        direction = normal(100 + k, stream(name), len(g))
        along.append(g @ direction / np.linalg.norm(direction))
    return '    { "%s", %d, %s, %s },\n' % (name, len(g), number(np.linalg.norm(g)), numbers(along))


def language_case(out, name, trainable, shift=0, semantic=True, given=True, shared=False):
    w = Weights(trainable)
    text, visual, codes = language_losses(w, Batch(False), shift, semantic, given, shared)
    total = text + VISUAL_WEIGHT * sum(visual) / Head.Q
    write_case(out, name, w, total, text, visual, 0, None if given else codes)


def contrast_case(out, name, trainable):
    w = Weights(trainable)
    loss = contrast_loss(w, Batch(True))
    write_case(out, name, w, loss, 0, [], loss, None)


def write_case(out, name, w, total, text, visual, contrast, codes):
    total.backward()
    out.write("static const GoldenTensor %s_gradients[] = {\n" % name)
    for key, t in w.tensor.items():
        if t.requires_grad:
            out.write(tensor_line(key, t))
    out.write("    { 0 }\n};\n")
    if codes is not None:
        out.write("static const int %s_codes[] = { /* (I,P,Q) */ %s };\n" % (name, ", ".join(map(str, codes.flatten().tolist()))))
    out.write("static const Golden golden_%s = {\n    .loss = %.15g, .text = %.15g, .contrast = %.15g,\n    .visual = %s,\n"
              "    .gradients = %s_gradients, .codes = %s\n};\n\n"
              % (name, total, text, contrast, numbers(visual or [0]), name, "NULL" if codes is None else name + "_codes"))


def main():
    out = open("tests/golden/model_golden.h", "w")
    out.write("/* Written by tests/ref/model.py with PyTorch %s: losses, and for each trainable tensor its number of elements, the\n"
              "   norm of its gradient and the gradient's components along %d random unit vectors.  All in float64. */\n\n"
              % (torch.__version__.split("+")[0], DIRECTIONS))
    contrast_case(out, "contrast", "vision,pool,text,contrast")
    language_case(out, "aligned", "projector,decoder,head,vision")
    language_case(out, "shifted", "projector,decoder,head,vision", shift=1)
    language_case(out, "text_alone", "projector,decoder,vision", semantic=False)
    language_case(out, "quantized", "projector,decoder,head,vision", given=False)
    language_case(out, "shared_codes", "projector,decoder,head,vision", given=False, shared=True)
    out.close()


if __name__ == "__main__":
    main()
