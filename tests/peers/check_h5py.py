#!/usr/bin/env python3
"""h5py and hdf5plugin read every dataset of a shard and of a checkpoint: the lines of docs/FORMATS.md, run as they stand.

    build/peers/bin/python tests/peers/check_h5py.py        packs and trains configs/tiny.cfg in a folder of its own
"""
import contextlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile

import h5py
import hdf5plugin

root = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
asvr, config = os.path.join(root, "build", "asvr"), os.path.join(root, "configs", "tiny.cfg")
with open(os.path.join(root, "docs", "FORMATS.md"), encoding="utf-8") as f:
    section = f.read().split("### Reading one with h5py", 1)[1].split("\n### ", 1)[0]
every, sample, bare = re.findall(r"```python\n(.*?)```", section, re.S)


def run(lines):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(lines, "docs/FORMATS.md", "exec"), {})
    return out.getvalue().splitlines()


with tempfile.TemporaryDirectory(dir=os.path.join(root, "build")) as scratch:
    os.chdir(scratch)
    for words in (["pack"], ["train", "--set", "train.steps=3"]):
        subprocess.run([asvr, words[0], config, *words[1:]], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    lines = run(every)
    shard = {line.split()[1] for line in lines if "/data/" in line}
    tensors = {line.split()[1] for line in lines if "/ckpt/" in line}
    with open("runs/tiny/ckpt/step-00000003/manifest.json", encoding="utf-8") as f:
        wanted = {t["name"] for t in json.load(f)["tensors"]}
    first, second = run(sample)[-1], run(bare)[-1]
    tokens = first.split()[0]
ok = {"pixels", "tokens", "labels", "image_start", "token_start", "hash"} <= shard and tensors == wanted \
    and second.startswith(tokens + " tokens;")
print("%s h5py %s, hdf5plugin %s: %d lines of docs/FORMATS.md read %d datasets of shards, all %d tensors of a checkpoint; %s"
      % ("ok  " if ok else "FAIL", h5py.__version__, hdf5plugin.version, every.strip().count("\n") + 1, len(shard), len(tensors), first))
sys.exit(not ok)
