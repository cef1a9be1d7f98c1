#!/usr/bin/env python3
"""Pixels in a shard: what picture files would cost instead, beside tests/bench/bench_store.c.  By hand, with NumPy and Pillow.

    tests/bench/stores.py squares SIDE OUT PICTURE...   the middle square of each picture, resized to SIDE, into OUT/*.rgb; of
                                                        pictures from 768 on also two quarters of it; smaller than SIDE: left out
    tests/bench/stores.py shard OUT SHARD.h5            the pictures of a shard into OUT/*.rgb (with h5py and hdf5plugin)
    tests/bench/stores.py files SIDE FILE.rgb...        the squares as PNG, WebP, JPEG; and what Python takes to undo STORE_DELTA
    tests/bench/stores.py originals SIDE PICTURE.jpg... the files as they are, decoded and resized to SIDE

One line a store: bytes a picture, their share of the raw ones, MB of raw pixels and pictures a second that one core decodes in
memory (process time, best of 3, through Pillow: the conversion to packed RGB counts), and whether all bits came back."""
import io
import os
import sys
import time

import numpy as np
from PIL import Image, __version__ as PIL_VERSION, features


def squares(side, out, paths):
    os.makedirs(out, exist_ok=True)
    n = 0
    for path in paths:
        picture = Image.open(path).convert("RGB")
        w, h = picture.size
        s = min(w, h)
        if s < side:
            continue
        x, y, half = (w - s) // 2, (h - s) // 2, s // 2
        boxes = [(x, y, x + s, y + s)]
        if s >= 768:
            boxes += [(x, y, x + half, y + half), (x + s - half, y + s - half, x + s, y + s)]
        for box in boxes:
            with open(f"{out}/{n:05d}.rgb", "wb") as f:
                f.write(picture.resize((side, side), Image.BICUBIC, box=box).tobytes())
            n += 1
    print(f"{n} squares")


def shard(out, path):
    import h5py
    import hdf5plugin  # noqa: F401 (the zstd filter)
    os.makedirs(out, exist_ok=True)
    with h5py.File(path) as f:
        for n, picture in enumerate(f["pixels"]):
            with open(f"{out}/{n:05d}.rgb", "wb") as g:
                g.write(picture.tobytes())


def best_time(decode, stored):
    best, back = 1e9, None
    for _ in range(3):
        begin = time.process_time()
        back = [decode(s) for s in stored]
        best = min(best, time.process_time() - begin)
    return best, back


def line(name, count, side, stored_bytes, seconds, bits):
    raw = count * side * side * 3
    print(f"{name:<22} {stored_bytes / count:10.0f} {stored_bytes / raw:6.3f} {raw / seconds * 1e-6:10.0f} "
          f"{count / seconds:10.0f}   {bits}", flush=True)


def head(what):
    print(f"{what}; Pillow {PIL_VERSION}, libjpeg-turbo {features.version('libjpeg_turbo')}, "
          f"libwebp {features.version('webp')}, zlib {features.version('zlib')}")
    print(f"{'store':<22} {'bytes':>10} {'of raw':>6} {'MB/s':>10} {'pictures/s':>10}   bits")


def opened(data):
    return Image.open(io.BytesIO(data)).tobytes()


def saved(picture, side, **how):
    f = io.BytesIO()
    Image.frombytes("RGB", (side, side), picture).save(f, **how)
    return f.getvalue()


def delta(picture):
    """The definition in io/set/store.h."""
    q = picture.copy()
    q[..., ::2] -= picture[..., 1:2]
    p = np.pad(q, ((1, 0), (1, 0), (0, 0)))
    return p[1:, 1:] - p[1:, :-1] - p[:-1, 1:] + p[:-1, :-1]


def undo(d):
    """d: uint8 (side, side, 3)."""
    p = d.cumsum(0, dtype="u1").cumsum(1, dtype="u1")
    p[..., ::2] += p[..., 1:2]
    return p.tobytes()


def files(side, paths):
    pictures = [open(p, "rb").read() for p in paths]
    head(f"{len(pictures)} pictures of {side} x {side}")
    for name, how in (("PNG", {"format": "PNG"}), ("PNG, optimize", {"format": "PNG", "optimize": True}),
                      ("WebP lossless", {"format": "WEBP", "lossless": True}),
                      ("JPEG 90 of the square", {"format": "JPEG", "quality": 90})):
        stored = [saved(p, side, **how) for p in pictures]
        seconds, back = best_time(opened, stored)
        line(name, len(pictures), side, sum(map(len, stored)), seconds, "equal" if back == pictures else "not equal")
    arrays = [delta(np.frombuffer(p, np.uint8).reshape(side, side, 3)) for p in pictures]
    seconds, back = best_time(undo, arrays)
    line("delta undone in Python", len(pictures), side, sum(a.size for a in arrays), seconds,
         "equal" if back == pictures else "NOT EQUAL")


def originals(side, paths):
    stored = [open(p, "rb").read() for p in paths]
    sizes = [Image.open(p).size for p in paths]
    head(f"{len(paths)} files, {sum(w * h for w, h in sizes) / len(sizes) * 1e-6:.2f} megapixels in the mean, to {side} x {side}")

    def whole(data):
        return Image.open(io.BytesIO(data)).convert("RGB").resize((side, side), Image.BICUBIC).tobytes()

    def reduced(data):
        picture = Image.open(io.BytesIO(data))
        picture.draft("RGB", (side, side))              # libjpeg halves while it decodes, as far as SIDE allows
        return picture.convert("RGB").resize((side, side), Image.BICUBIC).tobytes()

    want = None
    for name, decode in (("JPEG as it came", whole), ("  halved by libjpeg", reduced)):
        seconds, back = best_time(decode, stored)
        want = want or back
        same = sum(a == b for a, b in zip(want, back))
        line(name, len(stored), side, sum(map(len, stored)), seconds, f"{same} of {len(stored)} as the first line's")


verb, args = sys.argv[1], sys.argv[2:]
if verb == "squares":
    squares(int(args[0]), args[1], args[2:])
elif verb == "shard":
    shard(args[0], args[1])
elif verb == "files":
    files(int(args[0]), args[1:])
elif verb == "originals":
    originals(int(args[0]), args[1:])
else:
    sys.exit(__doc__)
