#!/usr/bin/env python3
"""Data sets written by pyarrow and webdataset, read by `asvr pack`: the shards of the same records as JSON Lines, byte for byte.
Needs pyarrow, webdataset, Pillow, NumPy; builds asvr-parquet.so against pyarrow's own headers and libraries.
Environment: ASVR, TMP.  Run from the root.  One line a claim."""
import hashlib
import io
import json
import os
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import webdataset as wds
from PIL import Image

asvr, tmp = os.path.abspath(os.environ["ASVR"]), os.path.abspath(os.environ["TMP"])
config = os.path.abspath("configs/tiny.cfg")
env = dict(os.environ, ASVR_MODULES=tmp + "/module", OMP_NUM_THREADS="1")
failed = 0


def claim(ok, words):
    global failed
    failed += not ok
    print(("ok   " if ok else "FAIL ") + words, flush=True)
    return ok


arrow = os.path.dirname(pa.__file__)
made = subprocess.run(["make", "-s", "ARROW=" + arrow, "OUT=" + tmp + "/module", tmp + "/module/asvr-parquet.so"], capture_output=True, text=True)
if not claim(made.returncode == 0, "asvr-parquet.so builds against pyarrow %s" % pa.__version__):
    sys.exit(made.stderr)
os.chdir(tmp)

N = 60
rng = np.random.default_rng(5)


def picture(i, side=24):
    im = Image.fromarray(rng.integers(0, 256, (side, side + i % 7, 3), "uint8"))
    b = io.BytesIO()
    im.save(b, "PNG" if i % 2 else "JPEG")
    return b.getvalue()


os.mkdir("flat")
pictures = [picture(i) for i in range(N)]
for i, b in enumerate(pictures):
    open("flat/%d" % i, "wb").write(b)
captions = ['thing %d , "quoted" \u00fc \\ .' % i for i in range(N)]
ASK = "<image>\nDescribe this image."


def turns(*texts):
    return [{"from": "gpt" if k % 2 else "human", "value": t} for k, t in enumerate(texts)]


def pack(name, source, files, ranks=1, *more, code=0):
    command = ["mpirun", "-n", str(ranks), asvr, "pack", config]
    for key, value in {"data.source": source, "data.json": files, "data.images": "flat", "data.set": name + "/index.set", "data.samples": 0,
                       "data.val_samples": 4, "data.shard_samples": 16, "parallel.threads": 1, "parallel.bind": "none", "text.model": "text.model"}.items():
        command += ["--set", "%s=%s" % (key, value)]
    p = subprocess.run(command + list(more), capture_output=True, text=True, env=env)
    if p.returncode != code:
        print(p.stdout + p.stderr, file=sys.stderr)
    return p


def shards(name):
    return [(f, hashlib.md5(open(name + "/" + f, "rb").read()).hexdigest()) for f in sorted(os.listdir(name)) if f.endswith(".h5")]


def lines(name, records):
    with open(name, "w") as f:
        for r in records:
            f.write(json.dumps(r) + "\n")


def same(words, source, files, records):
    """The files give the shards of these records, on 1 and 2 ranks."""
    name = "".join(c for c in words if c.isalnum())
    lines(name + ".jsonl", records)
    ok = pack(name + "0", "llava", name + ".jsonl").returncode == 0
    for ranks in (1, 2):
        ok = ok and pack(name + str(ranks), source, files, ranks).returncode == 0 and shards(name + str(ranks)) == shards(name + "0") != []
    claim(ok, "%s: %d records give the shards of JSON Lines, on 1 and 2 ranks" % (words, len(records)))


image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
cells = pa.array([{"bytes": b, "path": None} for b in pictures], image)
ids = pa.array(["r%d" % i for i in range(N)])


def write(name, columns, **options):
    pq.write_table(pa.table(columns), name, **options)


# ---- parquet ----
one = [{"id": "r%d" % i, "image": str(i), "conversations": turns(ASK, captions[i])} for i in range(N)]
os.mkdir("cut")
whole = pa.table({"id": ids, "image": cells, "caption": captions, "width": list(range(N))})
for k in range(3):
    pq.write_table(whole.slice(20 * k, 20), "cut/train-%d.parquet" % k, row_group_size=7)
same("parquet, image and caption, three files", "parquet", "cut", one)
write("zstd.parquet", {"id": ids, "image": cells, "text": captions}, row_group_size=9, compression="zstd", data_page_size=500, use_dictionary=False)
same("parquet, zstd, many pages", "parquet", "zstd.parquet", one)
write("binary.parquet", {"id": ids, "jpg": pictures, "caption": pa.array(captions, pa.large_string())}, row_group_size=1000)
same("parquet, a binary column", "parquet", "binary.parquet", one)

talk = [turns("<image>\n<image>\nSame?" if i % 3 else "<image>\nWhat?", captions[i], "Sure?", "yes") for i in range(N)]
lists = [[{"bytes": pictures[i], "path": "a.png"}] + ([{"bytes": pictures[0], "path": None}] if i % 3 else []) for i in range(N)]
several = [{"id": "r%d" % i, "image": [str(i)] + (["0"] if i % 3 else []), "conversations": talk[i]} for i in range(N)]
talks = pa.array(talk, pa.list_(pa.struct([("from", pa.string()), ("value", pa.string())])))
write("list.parquet", {"id": ids, "images": pa.array(lists, pa.list_(image)), "conversations": talks}, row_group_size=11)
same("parquet, images and conversations", "parquet", "list.parquet", several)

write("bytes.parquet", {"id": ids, "images": pa.array([[x["bytes"] for x in l] for l in lists], pa.list_(pa.binary())), "conversations": talks}, row_group_size=11)
same("parquet, lists of binary and conversations", "parquet", "bytes.parquet", several)

chat = pa.array([[{"role": {"human": "user", "gpt": "assistant"}[t["from"]], "content": t["value"]} for t in c] for c in talk],
                pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())])))
write("messages.parquet", {"id": ids, "images": pa.array(lists, pa.large_list(image)), "messages": chat}, row_group_size=11)
same("parquet, images and messages", "parquet", "messages.parquet", several)
write("text.parquet", {"id": ids, "images": pa.array(lists, pa.list_(image)), "conversations": [json.dumps(t) for t in talk], "caption": captions}, row_group_size=11)
same("parquet, images and conversations as a text of JSON", "parquet", "text.parquet", several)

texts = [[{"user": "What %d?" % i, "assistant": captions[i], "source": "x"}, {"user": "Sure?", "assistant": "yes", "source": "x"}] for i in range(N)]
write("cauldron.parquet", {"images": pa.array([[l[0]] for l in lists], pa.list_(image)),
                           "texts": pa.array(texts, pa.list_(pa.struct([(k, pa.string()) for k in ("user", "assistant", "source")])))}, row_group_size=10)
same("parquet, images and texts (the_cauldron)", "parquet", "cauldron.parquet",
     [{"image": str(i), "conversations": turns("What %d?" % i, captions[i], "Sure?", "yes")} for i in range(N)])

write("five.parquet", {"image_id": list(range(N)), "image": cells, "sentences": [[captions[i], "second %d" % i] for i in range(N)]}, row_group_size=10)
same("parquet, lists of captions", "parquet", "five.parquet",
     [{"id": i, "image": str(i), "conversations": turns(ASK, t)} for i in range(N) for t in (captions[i], "second %d" % i)])
write("vqa.parquet", {"image": cells, "question": ["What %d?" % i for i in range(N)], "answer": captions}, row_group_size=10)
same("parquet, question and answer", "parquet", "vqa.parquet", [{"image": str(i), "question": "What %d?" % i, "answer": captions[i]} for i in range(N)])
right = [["%d" % (i % 3)] if i % 2 else [captions[i], "x"] for i in range(N)]
choices = [["0", "1", "2"] if i % 2 else None for i in range(N)]
tasks = ["odd" if i % 2 else None for i in range(N)]
write("asked.parquet", {"image": cells, "question": ["What %d?" % i for i in range(N)], "answer": pa.array(right, pa.list_(pa.string())),
                        "choices": pa.array(choices, pa.list_(pa.large_string())), "task": pa.array(tasks, pa.string())}, row_group_size=10)
same("parquet, lists of right answers, choices and tasks", "parquet", "asked.parquet",
     [{"image": str(i), "question": "What %d?" % i, "answer": right[i], "choices": choices[i], "task": tasks[i]} for i in range(N)])

# ---- damaged, or not read ----
whole = open("zstd.parquet", "rb").read()
open("short.parquet", "wb").write(whole[:-100])
p = pack("bad", "parquet", "short.parquet", 2, code=65)
claim(p.returncode == 65 and "short.parquet" in p.stderr, "a parquet file cut off is refused with 65")
refused = killed = 0
for k in range(60):
    b = bytearray(whole)
    for at in rng.integers(0, len(b), 4):
        b[at] ^= int(rng.integers(1, 256))
    open("odd.parquet", "wb").write(b)
    p = subprocess.run([asvr, "pack", config, "--set", "data.source=parquet", "--set", "data.json=odd.parquet", "--set", "data.set=odd/index.set",
                        "--set", "data.on_bad=skip", "--set", "text.model=text.model", "--set", "parallel.bind=none", "--set", "data.samples=0",
                        "--set", "data.val_samples=0"], capture_output=True, text=True, env=env)
    killed += p.returncode not in (0, 65)
    refused += p.returncode == 65
claim(killed == 0, "60 parquet files with 4 bytes damaged: %d refused, the others packed as far as they go, none brings pack down" % refused)
nulls = pa.array([None if i == 5 else {"bytes": b"no picture" if i == 7 else pictures[i], "path": None} for i in range(N)], image)
write("nulls.parquet", {"image": nulls, "caption": captions})
p = pack("nulls", "parquet", "nulls.parquet", 1, code=65)
claim(p.returncode == 65 and "nulls.parquet: row 7, image" in p.stderr, "a picture that is none is named by file, row and column")
p = pack("nulls", "parquet", "nulls.parquet", 1, "--set", "data.on_bad=skip", "--set", "data.val_samples=0")
claim("rows without a picture: 1" in p.stdout and "58 samples" in p.stdout, "a row without a picture is counted, one with a bad one skipped")
write("sound.parquet", {"audio": cells, "text": captions})
p = pack("sound", "parquet", "sound.parquet", 1, code=65)
claim(p.returncode == 65 and '"audio" holds media' in p.stderr, "a column of audio is refused by its name")

write("apart.parquet", {"image": cells, "caption": captions, "conversations": [{"from": ["human"], "value": [t]} for t in captions]})
p = pack("apart", "parquet", "apart.parquet", 1, code=65)
claim(p.returncode == 65 and '"conversations" is no list of turns' in p.stderr, "conversations that are no list of turns are refused, not replaced by a caption")

write("named.parquet", {"image": ["%d.jpg" % i for i in range(N)], "conversations": talks})
p = pack("named", "parquet", "named.parquet", 1, code=65)
claim(p.returncode == 65 and '"image" names pictures, but does not hold them' in p.stderr, "pictures that a column only names are refused, not dropped")

# ---- WebDataset's own writer ----
os.mkdir("wds")
with wds.ShardWriter("wds/%03d.tar", maxcount=25, verbose=0) as writer:
    for i in range(N):
        writer.write({"__key__": "r%d" % i, "jpg" if i % 2 == 0 else "png": pictures[i], "txt": captions[i], "json": {"n": i}})
same("webdataset, ShardWriter", "webdataset", "wds/{000..002}.tar", one)


# ---- memory ----
def peak(name, n):
    """MiB of pack over n pictures of half a megabyte."""
    rows = pa.array([{"bytes": big[i % 8] + bytes([i % 256, i // 256]), "path": None} for i in range(n)], image)
    write(name + ".parquet", {"image": rows, "caption": [captions[i % N] for i in range(n)]}, row_group_size=100)
    code = ("import resource, subprocess, sys; r = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode;"
            "print(r, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)")
    out = subprocess.run([sys.executable, "-c", code, asvr, "pack", config, "--set", "data.source=parquet", "--set", "data.json=%s.parquet" % name,
                          "--set", "data.set=%s/index.set" % name, "--set", "data.samples=0", "--set", "data.val_samples=4", "--set", "data.shard_samples=50",
                          "--set", "text.model=text.model", "--set", "parallel.bind=none"], capture_output=True, text=True, env=env).stdout.split()
    return int(out[1]) if out[0] == "0" else -1


big = []
for _ in range(8):
    b = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (400, 420, 3), "uint8")).save(b, "PNG")
    big.append(b.getvalue())
small, large = peak("small", 200), peak("large", 800)
sizes = [os.path.getsize(f + ".parquet") >> 20 for f in ("small", "large")]
claim(0 < small and large < small + 40, "memory is flat: %d MiB for a parquet file of %d MiB, %d MiB for one of %d MiB" % (small, sizes[0], large, sizes[1]))
sys.exit(failed > 0)
