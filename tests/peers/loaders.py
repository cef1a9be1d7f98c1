#!/usr/bin/env python3
"""How many shuffled samples a second come out of the same data in five formats: a table in Markdown.

    make build/tests/bench/bench_set                                        # for the row of asvr's own loader
    build/peers/bin/python tests/peers/loaders.py runs/tiny/data/index.set

A sample is a picture (uint8, HWC), its token ids and labels.  Each loader makes NumPy batches of B samples, in as many
processes as the column says, each with its share; handing batches to a trainer is not part of it.  Everything lies in
the page cache: a slow disk adds its time for the bytes that are read.  A rate is that of the best epoch, from all
processes starting it to all of them having ended it.

What "shuffled" means differs: h5py in random order and the folder draw every sample from anywhere, as asvr does; the
others shuffle pieces of files and hold a buffer of samples.  Texts of h5py and the folder stay in memory.

First every loader's samples of one epoch are compared with those of the shards, bit by bit; asvr's own, which is no
Python, compares with the chunks itself (tests/bench/bench_set.c) and rests between micro-batches on nobody.
"""
import argparse
import glob
import hashlib
import io
import multiprocessing
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor

import h5py
import hdf5plugin
import numpy as np
import webdataset as wds
from PIL import Image

import without_torch
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "launch", "scripts"))
import asvr_read

os.environ["PYTHONWARNINGS"] = "ignore:resource_tracker"       # MDS leaves its shared memory to that process
without_torch.stand_in()
import streaming.base.world
from streaming.base.dataset import StreamingDataset
from streaming.base.format import MDSWriter

BUFFER = 1000               # samples in a shuffle buffer
TARS = 16                   # files of a WebDataset, so that there are enough to shuffle and to share
OWN = "build/tests/bench/bench_set"
FORK = multiprocessing.get_context("fork")


def decode_png(data):
    return np.asarray(Image.open(data))


def shuffled(samples, rng):
    """What a stream shuffled through a buffer looks like."""
    held = []
    for s in samples:
        held.append(s)
        if len(held) == BUFFER:
            k = rng.randrange(BUFFER)
            held[k], held[-1] = held[-1], held[k]
            yield held.pop()
    rng.shuffle(held)
    yield from held


# ---- the shards themselves ----

class Shards:
    """Texts in memory, pictures on the disk.  Files are opened by the process that reads."""

    def __init__(self, paths):
        self.paths, self.text, self.place, self.chunk = paths, [], [], []
        for p, path in enumerate(paths):
            with h5py.File(path) as f:
                if (np.diff(f["image_start"]) != 1).any():
                    sys.exit("loaders.py: %s has samples without or with several pictures" % path)
                n, rows = len(f["pixels"]), f["pixels"].chunks[0]
                text, start = np.stack([f["tokens"][:], f["labels"][:]]), f["token_start"][:]
                self.store = asvr_read.text(f.attrs, "store", "raw")
            first = len(self.text)
            self.text += [text[:, start[i]:start[i + 1]] for i in range(n)]
            self.place += [(p, i) for i in range(n)]
            self.chunk += [(p, i, min(i + rows, n), first + i) for i in range(0, n, rows)]

    def rows(self, files, p, first, end):
        if p not in files:
            files[p] = h5py.File(self.paths[p])["pixels"]
        return asvr_read.pictures(files[p][first:end], self.store)

    def in_order(self):
        files = {}
        for (p, i), text in zip(self.place, self.text):
            yield self.rows(files, p, i, i + 1)[0], text


def read_random(shards, share, shares, seed):
    order, files = np.random.default_rng(seed).permutation(len(shards.text)), {}
    for k in order[share::shares]:
        p, i = shards.place[k]
        yield shards.rows(files, p, i, i + 1)[0], shards.text[k]


def read_chunks(shards, share, shares, seed):
    rng, files = random.Random(seed), {}
    order = list(shards.chunk)
    rng.shuffle(order)

    def samples():
        for p, first, end, at in order[share::shares]:
            for k, pixels in enumerate(shards.rows(files, p, first, end)):
                yield pixels, shards.text[at + k]
    yield from shuffled(samples(), rng)


# ---- the other formats: what convert() wrote, how it is read ----

def convert(shards, work):
    """Writes every format below `work` in one pass."""
    folder = {name: os.path.join(work, name) for name in ("png", "wds-png", "wds-raw", "mds-png", "mds-raw")}
    for path in folder.values():
        os.makedirs(path)
    h, w, _ = next(shards.in_order())[0].shape
    tar = [wds.ShardWriter(os.path.join(folder[name], "%05d.tar"), maxcount=-(-len(shards.text) // TARS), maxsize=1e12,
                           verbose=0)
           for name in ("wds-png", "wds-raw")]
    mds = [MDSWriter(out=folder[name], columns={"pixels": pixels, "text": "ndarray:int32"}, compression=packed,
                     size_limit=1 << 24)
              for name, pixels, packed in (("mds-png", "bytes", None),
                                        ("mds-raw", "ndarray:uint8:%d,%d,3" % (h, w), "zstd:3"))]
    for i, (pixels, text) in enumerate(shards.in_order()):
        png = io.BytesIO()
        Image.fromarray(pixels).save(png, "PNG")
        key, png = "%08d" % i, png.getvalue()
        with open(os.path.join(folder["png"], key + ".png"), "wb") as f:
            f.write(png)
        tar[0].write({"__key__": key, "png": png, "text.npy": text})
        tar[1].write({"__key__": key, "pixels.npy": pixels, "text.npy": text})
        mds[0].write({"pixels": png, "text": text})
        mds[1].write({"pixels": pixels, "text": text})
    for writer in tar:
        writer.close()
    for writer in mds:
        writer.finish()
    np.save(os.path.join(folder["png"], "text.npy"), np.concatenate(shards.text, axis=1))
    return folder


def read_folder(opened, share, shares, seed):
    path, text = opened
    for k in np.random.default_rng(seed).permutation(len(text))[share::shares]:
        yield decode_png(os.path.join(path, "%08d.png" % k)), text[k]


def open_tars(path):
    return sorted(glob.glob(os.path.join(path, "*.tar")))


def read_tars(urls, share, shares, seed):
    """Each process its tar files, as WebDataset divides them."""
    mine = urls[share::shares]
    for s in wds.WebDataset(mine, shardshuffle=len(mine), seed=seed).shuffle(BUFFER).decode("rgb8"):
        yield s["png"] if "png" in s else s["pixels.npy"], s["text.npy"]


def open_mds(path, batch):
    return StreamingDataset(local=path, shuffle=True, shuffle_seed=1, batch_size=batch)


def read_mds(dataset, share, shares, seed):
    """Our processes are what it takes the workers of a torch DataLoader for.  It counts epochs itself."""
    class info:
        id, num_workers = share, shares
    streaming.base.world.get_worker_info = lambda: info
    for s in dataset:
        pixels = s["pixels"]
        yield decode_png(io.BytesIO(pixels)) if isinstance(pixels, bytes) else pixels, s["text"]


# ---- measuring ----

def batches(samples, size):
    held = []
    for s in samples:
        held.append(s)
        if len(held) == size:
            yield batch_of(held)
            held = []
    if held:
        yield batch_of(held)


def batch_of(held):
    """(B, image, image, 3), (2, M): tokens and labels, (B+1): where texts start"""
    start = np.cumsum([0] + [text.shape[1] for _, text in held])
    return np.stack([pixels for pixels, _ in held]), np.concatenate([text for _, text in held], axis=1), start


def measure(opening, read, shares, args):
    """Samples a second of the best of args.epochs epochs; none is begun after args.seconds."""
    opened = opening()
    gate, go_on, count = FORK.Barrier(shares + 1), FORK.Value("b", 1), FORK.Array("q", shares)

    def work(share):
        try:
            for epoch in range(args.epochs):
                gate.wait()
                if not go_on.value:
                    return
                count[share] = sum(len(b[0]) for b in batches(read(opened, share, shares, epoch), args.batch))
                gate.wait()
        except BaseException:
            gate.abort()
            raise

    workers = [FORK.Process(target=work, args=(share,)) for share in range(shares)]
    for w in workers:
        w.start()
    best, begun = 0, time.monotonic()
    for epoch in range(args.epochs):
        go_on.value = epoch == 0 or time.monotonic() - begun < args.seconds
        gate.wait()
        if not go_on.value:
            break
        t = time.monotonic()
        gate.wait()
        best = max(best, sum(count) / (time.monotonic() - t))
    for w in workers:
        w.join()
    return best


def digests(samples):
    return sorted(hashlib.blake2b(np.ascontiguousarray(pixels).tobytes() + np.ascontiguousarray(text).tobytes(),
                                  digest_size=16).digest() for pixels, text in samples)


def same(opening, read, expected):
    return digests(read(opening(), 0, 1, 0)) == expected


def alone(f, *args):
    """f in a process of its own: nothing that a library keeps reaches the next measurement."""
    with ProcessPoolExecutor(1, FORK) as pool:
        return pool.submit(call, f, *args).result()


# A pool pickles what it is given; numbers travel, the closures of LOADERS wait here for the fork.
LOADERS = []


def call(f, k, *args):
    return f(*LOADERS[k][2:], *args)


def own_rate(args, ranks):
    """Samples a second of asvr's loader, a thread a rank."""
    env = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", OMP_NUM_THREADS="1",
               OMPI_MCA_rmaps_base_oversubscribe="1", OMPI_MCA_btl_vader_single_copy_mechanism="none")
    out = subprocess.run(["mpirun", "--bind-to", "none", "-n", str(ranks), OWN, "loader", args.set, "1", str(args.batch)],
                         env=env, stdout=subprocess.PIPE, text=True, check=True).stdout
    return next(float(line.split()[1]) for line in out.splitlines() if line.startswith("loader"))


def size_of(paths):
    return sum(os.path.getsize(p) for p in paths)


def files_of(path):
    return [os.path.join(path, name) for name in os.listdir(path)]


def table(args, paths):
    shards = Shards(paths)
    n = len(shards.text)
    print("%d samples, %s, %d to %d tokens; batches of %d" % (
        n, "x".join(map(str, next(shards.in_order())[0].shape)), min(t.shape[1] for t in shards.text),
        max(t.shape[1] for t in shards.text), args.batch), file=sys.stderr)
    folder = convert(shards, args.work)
    LOADERS[:] = [
        ("asvr shards by h5py, random order", paths, lambda: shards, read_random),
        ("asvr shards by h5py, chunks, buffer", paths, lambda: shards, read_chunks),
        ("PNG files, Pillow", files_of(folder["png"]), lambda: (folder["png"], shards.text), read_folder),
        ("WebDataset, PNG", files_of(folder["wds-png"]), lambda: open_tars(folder["wds-png"]), read_tars),
        ("WebDataset, raw", files_of(folder["wds-raw"]), lambda: open_tars(folder["wds-raw"]), read_tars),
        ("MosaicML MDS, PNG", files_of(folder["mds-png"]), lambda: open_mds(folder["mds-png"], args.batch), read_mds),
        ("MosaicML MDS, raw in zstd", files_of(folder["mds-raw"]), lambda: open_mds(folder["mds-raw"], args.batch),
         read_mds),
    ]
    if len(shards.chunk) == n:
        del LOADERS[1]                      # a chunk is a picture: the same as random order
    stored = [size_of(loader[1]) for loader in LOADERS]
    expected = digests(shards.in_order())
    good = [alone(same, k, expected) for k in range(len(LOADERS))]
    rate, own = np.zeros((len(LOADERS), 2)), np.zeros(2)
    print("load %.1f" % os.getloadavg()[0], file=sys.stderr)
    for _ in range(args.rounds):
        if os.path.exists(OWN):
            own = np.maximum(own, [own_rate(args, ranks) for ranks in (1, 2)])
        for k in np.flatnonzero(good):
            rate[k] = np.maximum(rate[k], [alone(measure, k, shares, args) for shares in (1, 2)])
    print("| loader | bytes a sample on disk | samples/s, 1 process | 2 processes |\n|---|---|---|---|")
    if own.any():
        print("| asvr's loader | %d | %.0f | %.0f |" % (size_of(paths + [args.set]) / n, *own))
    for k, (name, *_) in enumerate(LOADERS):
        print("| %s | %d | %.0f | %.0f |" % (name, stored[k] / n, *rate[k]) if good[k] else
              "| %s | other samples than the shards' came out | | |" % name)
    print("load %.1f" % os.getloadavg()[0], file=sys.stderr)
    print("\nMDS unpacks into a second set of files, %d bytes a sample more; best epochs read those."
          % ((size_of(files_of(folder["mds-raw"])) - stored[-1]) / n))
    return not all(good)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("set", help="index of a data set, its training samples")
    p.add_argument("--batch", type=int, default=32)
    p.add_argument("--epochs", type=int, default=3)
    p.add_argument("--rounds", type=int, default=2, help="times that all loaders take turns")
    p.add_argument("--seconds", type=float, default=30, help="no further epoch after as long")
    p.add_argument("--work", default="build/peers/work", help="folder that is made here and removed at the end")
    args = p.parse_args()
    paths = asvr_read.shards(args.set, "train")
    if os.path.exists(args.work):
        sys.exit("loaders.py: %s exists: remove it, or give another --work" % args.work)
    os.makedirs(args.work)
    tempfile.tempdir = os.path.abspath(args.work)       # MDS leaves its locks there
    try:
        return table(args, paths)
    finally:
        shutil.rmtree(args.work)


if __name__ == "__main__":
    sys.exit(main())
