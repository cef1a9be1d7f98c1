#!/usr/bin/env python3
"""What asvr writes, in Python: the steps of a run, the samples of a data set.  Samples need h5py and hdf5plugin (the zstd filter), steps nothing.

    python3 launch/scripts/asvr_read.py runs/tiny                  the last step of a run
    python3 launch/scripts/asvr_read.py runs/tiny/data [N]         a data set (its folder, index or one shard), or its N-th sample

    from asvr_read import samples, steps
    for s in samples("runs/tiny/data", "train"):       # "val": what is held out; without: all
        s.tokens, s.labels                             # int32 (T); -200 where the rows of a picture go, -100 where nothing is to learn
        s.pictures                                     # uint8 (n, image, image, 3), red green blue
        s.codes                                        # uint16 (n, P, depth), or None
        s.answer, s.task                               # of a held-out question, else None; {"right": [...], ...} as JSON of one's own
    loss = [line["loss"] for line in steps("runs/tiny")]

docs/FORMATS.md says what the numbers mean.  Hashes are not looked at: `asvr verify` does that."""
import json
import os
import sys
from collections import namedtuple

Sample = namedtuple("Sample", "tokens labels pictures codes answer task")


def steps(run):
    """The lines of run.jsonl by step.  One that is cut, or damaged, is passed over; of a step that stands there twice the last is taken."""
    by_step = {}
    with open(os.path.join(run, "run.jsonl"), "rb") as f:
        for text in f:
            try:
                line = json.loads(text)
                by_step[line["step"]] = line
            except (ValueError, KeyError, TypeError):
                pass
    return [by_step[k] for k in sorted(by_step)]


def index(path):
    """The JSON of a data set's index, named by itself or by its folder."""
    with open(os.path.join(path, "index.set") if os.path.isdir(path) else path, "rb") as f:
        word, version, _, size = (f.read(64).split() + [b""] * 4)[:4]
        if word != b"asvr-set" or version != b"1":
            raise ValueError("%s: no index of version 1" % path)
        return json.loads(f.read(int(size)))


def shards(path, split=None):
    """Paths of a data set's shards: of one split ("train", "val"), or of both.  A shard's own path is its own."""
    folder = path if os.path.isdir(path) else os.path.dirname(path)
    return [path] if path.endswith(".h5") else [os.path.join(folder, s["name"]) for s in index(path)["shards"] if split in (None, s["split"])]


def text(attributes, name, default=""):
    x = attributes.get(name, default)
    return x.decode() if isinstance(x, bytes) else x


def pictures(rows, store):
    """Pictures (n, image, image, 3) from rows of /pixels: how they are stored is the shard's attribute `store`."""
    if store == "raw":
        return rows
    if store != "delta":
        raise ValueError("pixels are stored as %r" % store)
    p = rows.cumsum(1, dtype="u1").cumsum(2, dtype="u1")        # two running sums, and green back to red and blue
    p[..., ::2] += p[..., 1:2]
    return p


def samples(path, split=None):
    """Every Sample of a data set, or of a shard, in the order in which they lie there."""
    import h5py
    import hdf5plugin  # noqa: F401 (registers the filter)
    for shard in shards(path, split):
        with h5py.File(shard) as f:
            if text(f.attrs, "format") != "asvr-shard" or f.attrs["version"] not in (1, 2):
                raise ValueError("%s: no shard of version 1 or 2" % shard)
            store, tasks = text(f.attrs, "store", "raw"), text(f.attrs, "tasks").split(",")
            t, p, tokens, labels = (f[name][:] for name in ("token_start", "image_start", "tokens", "labels"))
            asked = "task" in f
            a, answers, task = (f[name][:] for name in ("answer_start", "answers", "task")) if asked else (None, None, None)
            for i in range(len(t) - 1):
                yield Sample(tokens[t[i]:t[i + 1]], labels[t[i]:t[i + 1]], pictures(f["pixels"][p[i]:p[i + 1]], store),
                             f["codes"][p[i]:p[i + 1]] if "codes" in f else None,
                             answers[a[i]:a[i + 1]].tobytes().decode() if asked and task[i] >= 0 else None,
                             tasks[task[i]] if asked and task[i] >= 0 else None)


def main(path, number=None):
    if os.path.exists(os.path.join(path, "run.jsonl")):
        print(json.dumps(steps(path)[-1], indent=1))
    elif number is None:
        for shard in shards(path):
            print(shard, sum(1 for _ in samples(shard)), "samples")
    else:
        s = next(s for i, s in enumerate(samples(path)) if i == int(number))
        print("tokens %s\npictures %s, mean %s; codes %s; task %s, answer %s" % (" ".join(map(str, s.tokens)), s.pictures.shape,
              s.pictures.mean((0, 1, 2)) if len(s.pictures) else None, None if s.codes is None else s.codes.shape, s.task, s.answer))


if __name__ == "__main__":
    main(*sys.argv[1:]) if len(sys.argv) in (2, 3) else sys.exit(__doc__)
