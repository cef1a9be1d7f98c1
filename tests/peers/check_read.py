#!/usr/bin/env python3
"""launch/scripts/asvr_read.py reads every sample of each kind of data set, and each line of a run: what the program itself says of them.

Pictures are those that were given to pack; and of each shard the fingerprint, made anew from the samples alone (io/set/shard.h), is the
one that `asvr verify` prints: so no bit of any sample is another one.  Needs h5py, hdf5plugin, xxhash, NumPy, Pillow.
Environment: ASVR, TMP.  Run from the root."""
import json
import os
import subprocess
import sys

import numpy as np
import xxhash
from PIL import Image

sys.path.insert(0, os.path.abspath("launch/scripts"))
import asvr_read

asvr, config, golden = os.path.abspath(os.environ["ASVR"]), os.path.abspath("configs/tiny.cfg"), os.path.abspath("tests/golden/v1")
os.chdir(os.environ["TMP"])
SIDE, N, HELD = 32, 60, 7
failed = 0


def claim(ok, words):
    global failed
    failed += not ok
    print(("ok   " if ok else "FAIL ") + words, flush=True)


def run(verb, *keys):
    done = subprocess.run([asvr, verb, config] + [w for key in keys for w in ("--set", key)], capture_output=True, text=True)
    if done.returncode:
        sys.exit("%s %s: %s" % (verb, keys, done.stderr))


def stored(p, store):
    """Pictures as a shard has them: store.h's differences, term by term."""
    if store == "raw":
        return p
    q = p.copy()
    q[..., ::2] -= p[..., 1:2]
    left, up, both = np.zeros_like(q), np.zeros_like(q), np.zeros_like(q)
    left[:, :, 1:], up[:, 1:], both[:, 1:, 1:] = q[:, :, :-1], q[:, :-1], q[:, :-1, :-1]
    return q - left - up + both


def fingerprint(path):
    """Of a shard, from what asvr_read gives of it, and from its attributes."""
    import h5py
    with h5py.File(path) as f:
        a = dict(f.attrs)
    all_of = list(asvr_read.samples(path))
    word = lambda name: asvr_read.text(a, name)
    asked, store = "tasks" in a, asvr_read.text(a, "store", "raw")
    start = lambda sizes: np.cumsum([0] + list(sizes), dtype="<i8")
    join = lambda parts, dtype: np.concatenate(list(parts)).astype(dtype)
    answers = [s.answer.encode() for s in all_of] if asked else []
    arrays = [stored(join((s.pictures for s in all_of), "u1"), store), join((s.codes for s in all_of), "<u2") if a["depth"] else [],
              start(len(s.pictures) for s in all_of), join((s.tokens for s in all_of), "<i4"), join((s.labels for s in all_of), "<i4"),
              start(len(s.tokens) for s in all_of), np.frombuffer(b"".join(answers), "u1"), start(map(len, answers)) if asked else [],
              np.array([word("tasks").split(",").index(s.task) for s in all_of] if asked else [], "<i4")]
    sums = [sum(xxhash.xxh64(np.ascontiguousarray(row).tobytes(), seed=i).intdigest() for i, row in enumerate(x)) % 2 ** 64 for x in arrays]
    head = "%d %d %d %d %d %d %d %s %s" % (a["samples"], a["images"], a["tokens"], a["image"], a["patch"], a["depth"], asked,
                                           word("text_model"), word("codes_model"))
    lines = [head, word("template"), word("source"), word("tasks"), word("baseline")]
    if a.get("scales", 1) > 1 or "appearance_model" in a:
        lines.append("%d %s" % (a.get("scales", 1), asvr_read.text(a, "appearance_model", "0" * 16)))
    lines += [store] if store != "raw" else []
    return xxhash.xxh64("\n".join(lines + ["%016x" % s for s in sums]).encode()).hexdigest(), len(all_of)


def same_as_verified(name, paths):
    count = right = 0
    for path in paths:
        print_, n = fingerprint(path)
        said = subprocess.run([asvr, "verify", path], capture_output=True, text=True).stdout.split()
        right += said[:2] == ["ok", print_]
        count += n
    claim(right == len(paths) > 0, "%s: %d samples of %d shards have the fingerprints that `asvr verify` prints" % (name, count, len(paths)))


# ---- scenes with questions, and a run on them ----
run("pack", "data.samples=64", "data.val_samples=28", "data.shard_samples=40")
same_as_verified("drawn scenes", asvr_read.shards("runs/tiny/data"))
held = list(asvr_read.samples("runs/tiny/data", "val"))
claim(len(held) == 28 and all(s.answer and s.task for s in held) and all(s.answer is None for s in asvr_read.samples("runs/tiny/data", "train")),
      "drawn scenes: 28 questions held out, of %d tasks; %r is the first one's answer" % (len({s.task for s in held}), held[0].answer))

tower = ["model.text.width=32", "model.text.layers=1", "model.text.heads=2", "model.text.ffn=64", "model.text.max_len=24", "train.steps=2"]
run("train", "train.steps=5", "ckpt.every=2")
lines = asvr_read.steps("runs/tiny")
with open("runs/tiny/run.jsonl", "a") as f:
    f.write(json.dumps(dict(lines[3], loss=-1.0)) + '\n{"step": 9, "ti')         # a step again, as of a life that was fenced; a line cut off
again = asvr_read.steps("runs/tiny")
claim([s["step"] for s in lines] == [1, 2, 3, 4, 5] == [s["step"] for s in again] and again[3]["loss"] == -1 and again[4] == lines[4] and
      all(abs(s["loss"] / float.fromhex(s["loss_hex"]) - 1) < 5e-9 for s in lines), "run.jsonl: 5 steps; of one that is there twice the last; a line that is cut is none")
run("train", "train.stage=tokenizer", "run.dir=runs/tokenizer", *tower)

# ---- the user's own pictures, without, with one and with several a sample; both ways to store, with codes ----
rng, records, given = np.random.default_rng(3), [], {}
os.mkdir("pictures")
for i in range(N):
    names = ["%d-%d.png" % (i, k) for k in range((1, 1, 0, 2, 3)[i % 5])]
    given[i] = rng.integers(0, 256, (len(names), SIDE, SIDE, 3), "uint8")
    for name, p in zip(names, given[i]):
        Image.fromarray(p).save("pictures/" + name)
    records.append({"id": i, "image": names, "conversations": [{"from": "human", "value": "number %d?" % i}, {"from": "gpt", "value": "it is %d." % i}]})
json.dump(records, open("mine.json", "w"))
for store in "raw", "delta":
    for codes in [], ["data.codes=runs/tokenizer"]:
        folder = "%s%d" % (store, len(codes))
        run("pack", "data.source=llava", "data.json=mine.json", "data.images=pictures", "data.samples=0", "data.val_samples=%d" % HELD, "data.shard_samples=20",
            "data.store=" + store, "data.set=%s/index.set" % folder, "text.model=runs/tiny/text.model", *codes)
        name = "own pictures, store %s, %s codes" % (store, "with" if codes else "without")
        same_as_verified(name, asvr_read.shards(folder))
        order = list(asvr_read.samples(folder, "train")), list(asvr_read.samples(folder + "/index.set", "val"))
        left = dict(given)
        for s in order[0] + order[1]:               # a record's pictures are noise: they name it, but where there are none
            which = next((i for i, p in left.items() if p.shape == s.pictures.shape and (p == s.pictures).all()), None)
            left.pop(which, None)
        claim(not left and len(order[1]) == HELD and all((s.tokens == -200).sum() == len(s.pictures) for s in order[0] + order[1]) and
              all((s.codes is not None) == bool(codes) and (not codes or s.codes.shape == (len(s.pictures), (SIDE // 8) ** 2, 2)) for s in order[0] + order[1]),
              "%s: the pictures are those of the files, bit by bit, and each has its place in the tokens" % name)

same_as_verified("version 1", [golden + "/train-00000.h5", golden + "/val-00001.h5"])
sys.exit(failed > 0)
