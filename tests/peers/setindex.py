"""The index of a data set, as docs/FORMATS.md has it: which shards belong to it, and how their pixels are stored."""
import json
import os


def read(path):
    """The JSON of an index."""
    with open(path, "rb") as f:
        word, version, _, size = f.read(64).split()[:4]
        if word != b"asvr-set" or version != b"1":
            raise ValueError("%s: no index of version 1" % path)
        return json.loads(f.read(int(size)))


def shards(path, split=None):
    """Paths of the shards of a split, or of all."""
    return [os.path.join(os.path.dirname(path), s["name"]) for s in read(path)["shards"] if split in (None, s["split"])]


def pixels_of(rows, store):
    """Pictures (n, image, image, 3) from rows of /pixels of a shard of that `store`."""
    if store == "raw":
        return rows
    if store != "delta":
        raise ValueError("pixels are stored as %r" % store)
    p = rows.cumsum(1, dtype="u1").cumsum(2, dtype="u1")
    p[..., ::2] += p[..., 1:2]
    return p


def store_of(attributes):
    store = attributes.get("store", "raw")
    return store.decode() if isinstance(store, bytes) else store
