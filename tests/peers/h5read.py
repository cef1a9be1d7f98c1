#!/usr/bin/env python3
"""Reads shards with h5py and hdf5plugin, as a stranger does who has only docs/FORMATS.md.  Exit 1 on any failure.

    build/peers/bin/python tests/peers/h5read.py runs/tiny/data/index.set

Or shards by their names.
"""
import os
import sys

import h5py
import hdf5plugin
import xxhash

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "launch", "scripts"))
import asvr_read

TYPES = {"pixels": "uint8", "codes": "uint16", "image_start": "int64", "tokens": "int32", "labels": "int32",
         "token_start": "int64", "answers": "uint8", "answer_start": "int64", "task": "int32"}
ALWAYS = ("pixels", "image_start", "tokens", "labels", "token_start", "hash")


END = {"image_start": "pixels", "token_start": "tokens", "answer_start": "answers"}


def hashes(path, f):
    """zstd frames unpack to something else when a byte is flipped: /hash knows."""
    with open(path, "rb") as stored:
        for h in f["hash"][:]:
            stored.seek(h["offset"])
            if xxhash.xxh64(stored.read(h["size"])).intdigest() != h["xxh64"]:
                yield "/%s, the chunk of row %d: not the bytes that were hashed" % (h["dataset"].decode(), h["row"])


def wrong(path, f):
    """Prints the shard, returns what is wrong with it."""
    a = f.attrs
    if a.get("format") != b"asvr-shard":
        return ["format is %r" % a.get("format")]
    print("  " + "  ".join("%s %s" % (name, a[name]) for name in ("version", "samples", "images", "tokens", "image")))
    bad = ["no /%s" % name for name in ALWAYS if name not in f]
    for name, d in f.items():
        kind = "record" if d.dtype.names else d.dtype
        print("  /%-12s %-8s %s %s" % (name, kind, d.shape, "in chunks of %s" % (d.chunks,) if d.chunks else "contiguous"))
        if name != "hash" and d.dtype != TYPES.get(name):
            bad.append("/%s is of type %s" % (name, d.dtype))
        try:
            whole = d[:]
        except OSError as e:
            bad.append("/%s does not read: %s" % (name, e))
            continue
        if name.endswith("_start") and (whole[0] or (whole[1:] < whole[:-1]).any() or whole[-1] != len(f[END[name]])):
            bad.append("/%s does not rise from 0 to %d" % (name, len(f[END[name]])))
    if bad:
        return bad
    N, M, I, side = (int(a[name]) for name in ("samples", "tokens", "images", "image"))
    shapes = {"pixels": (I, side, side, 3), "image_start": (N + 1,), "tokens": (M,), "labels": (M,),
              "token_start": (N + 1,)}
    bad += ["/%s is %s, attributes say %s" % (name, f[name].shape, shape)
            for name, shape in shapes.items() if f[name].shape != shape]
    bad += hashes(path, f)
    if asvr_read.text(a, "store", "raw") not in ("raw", "delta"):
        return bad + ["store is %r" % a["store"]]
    if I:
        p = asvr_read.pictures(f["pixels"][:1], asvr_read.text(a, "store", "raw"))
        print("  first picture, %s: mean of its channels %s" % (asvr_read.text(a, "store", "raw"), " ".join("%.1f" % m for m in p.mean((0, 1, 2)))))
    if N:
        end = f["token_start"][1]
        print("  first sample's tokens: " + " ".join(map(str, f["tokens"][:end])))
    return bad


def main():
    failed = 0
    paths = sys.argv[1:] or sys.exit("usage: h5read.py INDEX|SHARD...")
    for path in (p for arg in paths for p in (asvr_read.shards(arg) if arg.endswith(".set") else [arg])):
        print(path)
        try:
            with h5py.File(path) as f:
                bad = wrong(path, f)
        except OSError as e:
            bad = [str(e)]
        for what in bad:
            print("  wrong: " + what)
        failed |= bool(bad)
    return failed


if __name__ == "__main__":
    sys.exit(main())
