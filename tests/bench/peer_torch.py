#!/usr/bin/env python3
"""peer_torch.py: the model of configs/bench/small.cfg in PyTorch, timed as `asvr bench` times its own.

    peer_torch.py [--ranks N] [--compile] [--steps N] [--warm N] [--threads N] [--count]

Stage instruct: the vision tower is frozen and sees under no_grad; projector, decoder and visual head learn.  A sample is one picture (64 patches) and
64 text tokens, every one supervised; 8 samples a rank.  The same parameters and products as asvr's, written as PyTorch likes them: one product for q, k
and v, one for gate and up, the depths' feed-forward layers as one batched product, scaled_dot_product_attention, fused AdamW, gradients in DDP's own
buckets.  glibc keeps what it has (MALLOC_...), without which each step takes its pages anew, a tenth slower.  Several ranks: DDP over gloo, each
process on cores of its own.  Prints one line a claim; the last is

    R samples/s  M MiB (I of them after the imports)  S ms a step        of the slowest rank; memory of the largest

--count: the parameters, and the flops of a step as PyTorch counts them.
"""
import argparse
import os
import resource
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

BATCH, PATCHES, TEXT = 8, 64, 64
IMAGE, PATCH, CV, LV, HV, FV = 128, 16, 192, 5, 3, 768          # 5 of 6 blocks: select_layer is -2
C, L, H, FF, V = 384, 8, 6, 1024, 4096
Q, S, E, LE, HE = 4, 1024, 256, 3, 2
T = PATCHES + TEXT


def linear(i, o, bias=False):
    return nn.Linear(i, o, bias=bias)


class VisionBlock(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(CV, eps=1e-6), nn.LayerNorm(CV, eps=1e-6)
        self.qkv, self.out = linear(CV, 3 * CV, True), linear(CV, CV, True)
        self.w1, self.w2 = linear(CV, FV, True), linear(FV, CV, True)

    def forward(self, x):
        b, n, _ = x.shape
        q, k, v = self.qkv(self.ln1(x)).view(b, n, 3, HV, CV // HV).permute(2, 0, 3, 1, 4)
        x = x + self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n, CV))
        return x + self.w2(F.gelu(self.w1(self.ln2(x)), approximate="tanh"))


class Vision(nn.Module):
    def __init__(self):
        super().__init__()
        self.patches = linear(3 * PATCH * PATCH, CV, True)
        self.pos = nn.Parameter(0.02 * torch.randn(PATCHES, CV))
        self.blocks = nn.ModuleList(VisionBlock() for _ in range(LV))

    def forward(self, pixels):                                   # (B,128,128,3) uint8
        side = IMAGE // PATCH
        x = pixels.float() / 127.5 - 1
        x = x.view(-1, side, PATCH, side, PATCH, 3).permute(0, 1, 3, 5, 2, 4).reshape(-1, PATCHES, 3 * PATCH * PATCH)
        x = self.patches(x) + self.pos
        for block in self.blocks:
            x = block(x)
        return x


def rope_tables():
    freq = 1e4 ** (-torch.arange(0, C // H, 2) / (C // H))
    angle = torch.arange(T)[:, None] * freq[None]
    return torch.cat([angle.cos(), angle.cos()], 1), torch.cat([angle.sin(), angle.sin()], 1)


def rope(x, cos, sin):
    a, b = x.chunk(2, -1)
    return x * cos + torch.cat([-b, a], -1) * sin


class DecoderBlock(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.RMSNorm(C, eps=1e-5), nn.RMSNorm(C, eps=1e-5)
        self.qkv, self.out = linear(C, 3 * C), linear(C, C)
        self.gate_up, self.down = linear(C, 2 * FF), linear(FF, C)

    def forward(self, x, cos, sin):
        b = x.shape[0]
        q, k, v = self.qkv(self.norm1(x)).view(b, T, 3, H, C // H).permute(2, 0, 3, 1, 4)
        a = F.scaled_dot_product_attention(rope(q, cos, sin), rope(k, cos, sin), v, is_causal=True)
        x = x + self.out(a.transpose(1, 2).reshape(b, T, C))
        gate, up = self.gate_up(self.norm2(x)).chunk(2, -1)
        return x + self.down(F.silu(gate) * up)


class HeadBlock(nn.Module):                                      # over the depths of one code; the second residual is the normed sum
    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.RMSNorm(E, eps=1e-5), nn.RMSNorm(E, eps=1e-5)
        self.qkv, self.out = linear(E, 3 * E, True), linear(E, E, True)
        self.w1 = nn.Parameter(torch.randn(Q, E, 2 * E) / E ** 0.5)
        self.w2 = nn.Parameter(torch.randn(Q, 2 * E, E) / (2 * E) ** 0.5)

    def forward(self, x):                                        # (Q,N,E): depth-major, so each depth's weights meet one dense matrix
        n = x.shape[1]
        q, k, v = self.qkv(self.norm1(x)).view(Q, n, 3, HE, E // HE).permute(2, 1, 3, 0, 4)
        a = F.scaled_dot_product_attention(q, k, v, is_causal=True).permute(2, 0, 1, 3).reshape(Q, n, E)
        r = self.norm2(x + self.out(a))
        return r + torch.bmm(F.gelu(torch.bmm(r, self.w1)), self.w2)


class Head(nn.Module):
    def __init__(self):
        super().__init__()
        self.p0, self.p2, self.into = linear(C, E, True), linear(E, E, True), linear(CV, E, True)
        self.blocks = nn.ModuleList(HeadBlock() for _ in range(LE))
        self.norm = nn.RMSNorm(E, eps=1e-5)
        self.code = nn.Parameter(torch.randn(Q, E, S) / E ** 0.5)
        self.code_b = nn.Parameter(torch.zeros(Q, 1, S))

    def forward(self, g, upper):                                 # g (N,C); upper (Q-1,N,CV): sums of the codes' vectors above each depth
        x = torch.cat([self.p2(F.gelu(self.p0(g)))[None], self.into(upper)])
        for block in self.blocks:
            x = block(x)
        return torch.baddbmm(self.code_b, self.norm(x), self.code)      # (Q,N,S)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.vision = Vision()
        self.books = nn.Parameter(torch.randn(Q, S, CV))
        for p in self.parameters():
            p.requires_grad_(False)
        self.proj1, self.proj2 = linear(CV, C, True), linear(C, C, True)
        self.embed = nn.Embedding(V, C)
        self.blocks = nn.ModuleList(DecoderBlock() for _ in range(L))
        self.norm = nn.RMSNorm(C, eps=1e-5)
        self.lm_head = linear(C, V)
        self.head = Head()
        cos, sin = rope_tables()
        self.register_buffer("cos", cos)
        self.register_buffer("sin", sin)

    def forward(self, pixels, tokens, codes):                    # codes (Q, BATCH 64)
        with torch.no_grad():
            seen = self.vision(pixels)
            upper = torch.stack([self.books[k][codes[k]] for k in range(Q - 1)]).cumsum(0)
        x = torch.cat([self.proj2(F.gelu(self.proj1(seen))), self.embed(tokens)], 1)
        for block in self.blocks:
            x = block(x, self.cos, self.sin)
        h = self.norm(x)
        text = F.cross_entropy(self.lm_head(h[:, PATCHES - 1:T - 1]).flatten(0, 1), tokens.flatten())      # a row predicts the next token
        z = self.head(h[:, :PATCHES].flatten(0, 1), upper)       # row i predicts patch i
        return text + F.cross_entropy(z.flatten(0, 1), codes.flatten())


def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def batch(rank):
    g = torch.Generator().manual_seed(1 + rank)
    return (torch.randint(0, 256, (BATCH, IMAGE, IMAGE, 3), generator=g, dtype=torch.uint8), torch.randint(0, V, (BATCH, TEXT), generator=g),
            torch.randint(0, S, (Q, BATCH * PATCHES), generator=g))


def count(model, data):
    from torch.utils.flop_counter import FlopCounterMode
    with FlopCounterMode(display=False) as flops:
        model(*data).backward()
    print(f"parameters {sum(p.numel() for p in model.parameters())} trainable {sum(p.numel() for p in model.parameters() if p.requires_grad)} "
          f"GF {flops.get_total_flops() * 1e-9:.2f}")


def worker(rank, a):
    imported = peak_mib()
    if a.ranks > 1:
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[rank * a.threads % len(cores):][:a.threads] or cores)
        torch.distributed.init_process_group("gloo", rank=rank, world_size=a.ranks)
    torch.set_num_threads(a.threads)
    torch.manual_seed(1)
    model, data = Model(), batch(rank)
    if a.count:
        return count(model, data)
    learn = [p for p in model.parameters() if p.requires_grad]
    optim = torch.optim.AdamW(learn, lr=1e-5, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.0, fused=True)
    net = nn.parallel.DistributedDataParallel(model, gradient_as_bucket_view=True, static_graph=True) if a.ranks > 1 else model
    if a.compile:
        net = torch.compile(net, mode=a.mode)

    def step():
        loss = net(*data)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learn, 1.0)
        optim.step()
        optim.zero_grad(set_to_none=a.ranks == 1)
        return loss.item()

    for _ in range(a.warm):
        step()
    if a.ranks > 1:
        torch.distributed.barrier()
    t = time.perf_counter()
    for _ in range(a.steps):
        loss = step()
    t = (time.perf_counter() - t) / a.steps
    if a.ranks > 1:
        most = torch.tensor([t, peak_mib(), imported], dtype=torch.float64)
        torch.distributed.all_reduce(most, op=torch.distributed.ReduceOp.MAX)
        t, peak, imported = most.tolist()
    else:
        peak = peak_mib()
    if rank == 0:
        print(f"loss {loss:.4f}")
        print(f"{a.ranks * BATCH / t:.3f} samples/s  {peak:.0f} MiB ({imported:.0f} of them after the imports)  {1e3 * t:.1f} ms a step", flush=True)
    if a.ranks > 1:
        torch.distributed.barrier()
        os._exit(0)         # now and then gloo's threads end a process that takes its group down


KEEP = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "-1", "MALLOC_TOP_PAD_": str(64 << 20)}


def main():
    p = argparse.ArgumentParser()
    for name, value in (("ranks", 1), ("steps", 12), ("warm", 3), ("threads", 1)):
        p.add_argument(f"--{name}", type=int, default=value)
    p.add_argument("--compile", action="store_true")
    p.add_argument("--mode", default="default")
    p.add_argument("--count", action="store_true")
    a = p.parse_args()
    if any(name not in os.environ for name in KEEP):             # read when a process starts
        os.execve(sys.executable, [sys.executable, *sys.argv], {**KEEP, **os.environ, "OMP_NUM_THREADS": str(a.threads)})
    if a.ranks == 1:
        return worker(0, a)
    os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
    os.environ.setdefault("MASTER_PORT", str(20000 + os.getpid() % 20000))
    if "ASVR_PEER_RANK" in os.environ:
        return worker(int(os.environ["ASVR_PEER_RANK"]), a)
    import subprocess
    others = [subprocess.Popen([sys.executable, *sys.argv], env={**os.environ, "ASVR_PEER_RANK": str(r)}) for r in range(a.ranks)]
    return max(abs(o.wait()) for o in others)


if __name__ == "__main__":
    sys.exit(main())
