#!/usr/bin/env python3
"""Writes tests/golden/scales_golden.h: pictures resized, cut, seen by a linear tower and put together again, by PyTorch in float64.

The way from a picture to its features is that of S2 (arXiv:2403.13043) in PyTorch's terms: `interpolate` bicubic to each
scale, a chessboard of tiles, the tower, the chessboard put together, `interpolate` by area to the grid of one tile, the
scales one after the other in the channels.  The tower has no blocks: a convolution with the patches and positions.
What it shares with tests/core/test_scales.c is the rule by which pixels and weights are made.
Run from the root with PyTorch 1.13; the output is committed."""
import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
PICTURES, IMAGE, PATCH, WIDTH = 2, 10, 4, 3
SIDE = IMAGE // PATCH

out = open("tests/golden/scales_golden.h", "w")
out.write("/* Written by tests/ref/scales.py with PyTorch %s. */\n" % torch.__version__.split("+")[0])


def emit(name, x):
    out.write("static const float %s[%d] = {\n" % (name, x.numel()))
    x = ["%.8g" % v for v in x.flatten().tolist()]
    for k in range(0, len(x), 8):
        out.write("    " + ", ".join(v + ("f" if "." in v or "e" in v else ".f") for v in x[k:k + 8]) + ",\n")
    out.write("};\n")


def lcg(n, seed):
    """n numbers in [0, 256): the high bits of a linear congruence."""
    state, made = seed, []
    for _ in range(n):
        state = (state * 1664525 + 1013904223) % 2**32
        made.append(state >> 24)
    return torch.tensor(made, dtype=torch.float64)


def pictures(count, size, seed):
    """(count, 3, size, size) in [-1, 1]; in memory the channel runs fastest."""
    return lcg(count * size * size * 3, seed).reshape(count, size, size, 3).permute(0, 3, 1, 2) / 127.5 - 1


def weights(*shape, seed):
    return (lcg(torch.Size(shape).numel(), seed).reshape(shape) - 128) / 256


def resized(x, size, mode):
    return x if x.shape[-1] == size else F.interpolate(x, size=(size, size), mode=mode, align_corners=False)


W, B, POS = weights(WIDTH, 3, PATCH, PATCH, seed=2), weights(WIDTH, seed=3), weights(SIDE * SIDE, WIDTH, seed=4)


def tower(x):
    """(n, 3, IMAGE, IMAGE) -> (n, WIDTH, SIDE, SIDE)"""
    x = F.conv2d(x, W, B, stride=PATCH)
    return x + POS.T.reshape(1, WIDTH, SIDE, SIDE)


def features(x, n):
    """(I, 3, n IMAGE, n IMAGE) -> (I, SIDE^2, n WIDTH)"""
    seen = []
    for s in range(1, n + 1):
        y = resized(x, s * IMAGE, "bicubic")
        grid = torch.cat([torch.cat([tower(y[:, :, r * IMAGE:(r + 1) * IMAGE, c * IMAGE:(c + 1) * IMAGE])
                                     for c in range(s)], dim=3) for r in range(s)], dim=2)
        seen.append(F.interpolate(grid, size=(SIDE, SIDE), mode="area"))
    return torch.cat(seen, dim=1).flatten(2).transpose(1, 2)


# Whole pictures resized, (y, x, c).
out.write("/* size, scaled, bicubic, values (scaled,scaled,3) */\n")
cases = [(3, 10), (10, 3), (9, 3), (9, 6), (8, 6), (6, 9), (7, 1), (1, 4), (5, 5)]
for mode in "bicubic", "bilinear":
    for a, b in cases:
        emit("%s_%d_%d" % (mode, a, b), resized(pictures(1, a, 1), b, mode).permute(0, 2, 3, 1))
out.write("static const ResizeCase resize_cases[] = {\n")
for mode in "bicubic", "bilinear":
    for a, b in cases:
        out.write("    { %d, %d, RESIZE_%s, %s_%d_%d },\n" % (a, b, mode.upper(), mode, a, b))
out.write("};\n")

out.write("/* (%d %d, n %d) for n = 1 ... 4; then what the tower takes in of pictures made smaller to its size */\n"
          % (PICTURES, SIDE * SIDE, WIDTH))
for n in range(1, 5):
    emit("features_%d" % n, features(pictures(PICTURES, n * IMAGE, 1), n))
for n in range(1, 5):
    emit("down_%d" % n, tower(resized(pictures(PICTURES, n * IMAGE, 1), IMAGE, "bilinear")).flatten(2).transpose(1, 2))
out.write("static const float *const features_golden[] = { features_1, features_2, features_3, features_4 };\n")
out.write("static const float *const down_golden[] = { down_1, down_2, down_3, down_4 };\n")
