#!/usr/bin/env python3
"""Writes tests/golden/text_ids.h: texts, and the ids that spm_encode (SentencePiece 0.1.97) gives them with the two
models that tests/io/text/test_text.c trains.  Run from the root; the output is committed."""
import os
import re
import subprocess
import tempfile

TEXTS = [
    "A cat is next to the snowman.", "  two  spaces ", "trains, BUTTERFLIES & boats: 12,345!", "café cafe\u0301 naïve", "日本語",
    "Привет, мир", "🙂👩‍👧", "tab\there\x01\x7f", "</s><s>[INST]", "butterflybutterflybutterfly", "▁ ▁the",
    # mixed scripts in one word and in one line
    "catкотネコgatto", "The Ελληνικά और हिन्दी 와 한국어 ไทย የአማርኛ table", "ﬁne ½ ① Ⅻ ｆｕｌｌ ㎏ ™",
    # emoji: joined by ZWJ, skin tones, flags, keycaps, tags, variation selectors
    "👨‍👩‍👧‍👦 👩🏽‍🚀 🏳️‍🌈", "🇩🇪🇫🇷🇯🇵🇺", "1️⃣ #️⃣ ❤️❤", "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
    # control characters, spaces of all kinds, invisible ones
    "\x01\x02\x03 a\x08b\x1b[31mc\x7f", "a\u00a0b\u2003c\u3000d\u200be\u2060f\ufeffg", "line\u2028par\u2029nel\u0085end\x0c\x0b", "a\rb\r",
    # combining marks, precomposed and not, Hangul syllables and letters
    "Å Å A\u030a", "q\u0307\u0323 q\u0323\u0307", "Z\u0351\u036b\u0343a\u030a\u033bl\u0310\u0321g\u0347o", "한글 \u1112\u1161\u11ab\u1100\u1173\u11af",
    # right to left, with marks and overrides
    "שלום עולם", "مرحبا بالعالم", "שָׁלוֹם \u202eabc\u202c cat", "١٢٣ والسلام ABC",
    # beyond the basic plane, noncharacters, private use
    "𝒞𝒶𝓉 𐍈 𓀀 \U0010ffff \ue000 \ufffe", "",  " ", "\t", "a", "éé" * 8,
]
BYTES = [b"\xff\xfe cat", b"caf\xe9 table", b"\xc3", b"\xed\xa0\x80 \xed\xbf\xbf", b"\xf0\x9f\x99", b"\xc0\xaf\xe0\x80\xaf", b"\xf4\x90\x80\x80x"]


def long_texts():
    """As `long_text` in tests/io/text/test_text.c makes them."""
    yield bytes(ord("a") + (i * i // 3 + i) % 26 for i in range(100000))
    some = "👩‍👩‍👧🇩🇪日本語".encode()
    yield (some * (100000 // len(some) + 1))[:100000 // len(some) * len(some)]
    yield b"e" + "\u0301".encode() * 50000
    x, out = 1, bytearray()
    for _ in range(20000):
        x = (x * 1664525 + 1013904223) & 0xffffffff
        b = x >> 24
        out.append(b if b not in (0, 10) else 65)
    yield bytes(out)
    yield b"A cat " * 17000


folder = tempfile.mkdtemp()
with open(os.path.join(folder, "corpus"), "w") as f:
    what = ["cat", "dog", "red apple", "sailing boat", "café table", "butterfly", "train", "snowman"]
    where = ["on the left", "on the right", "above", "below", "next to", "in front of"]
    for i in range(480):
        f.write("%s %s is %s the %s.\n" % ("A" if i % 3 else "The", what[i % 8], where[i // 8 % 6], what[(i // 48 + i + 1) % 8]))


def train(name, *options):
    prefix = os.path.join(folder, name)
    subprocess.run(["spm_train", "--input=" + os.path.join(folder, "corpus"), "--model_prefix=" + prefix, "--vocab_size=384",
                    "--hard_vocab_limit=false", "--num_threads=1", "--max_sentence_length=1048576", "--minloglevel=4", *options],
                   check=True, stdout=subprocess.DEVNULL)
    return prefix + ".model"


MODELS = [train("bpe", "--model_type=bpe", "--byte_fallback=true", "--unk_id=0", "--bos_id=1", "--eos_id=2", "--pad_id=-1",
                "--normalization_rule_name=identity", "--remove_extra_whitespaces=false"),
          train("unigram", "--model_type=unigram", "--normalization_rule_name=nmt_nfkc")]


def ids(model, data):
    out = subprocess.run(["spm_encode", "--model=" + model, "--output_format=id"], input=data + b"\n", stdout=subprocess.PIPE, check=True)
    return [int(x) for x in out.stdout.split()]


def fnv(values):
    h = 0xcbf29ce484222325
    for v in values:
        h = ((h ^ v) * 0x100000001b3) & 0xffffffffffffffff
    return h


def c_string(data):
    text = "".join(chr(b) if 32 <= b < 127 and b not in b'"\\' else "\\%03o" % b for b in data)
    return '"%s"' % text.replace("??", "?\\077")


with open("tests/golden/text_ids.h", "w") as out:
    out.write("/* Written by tests/ref/text_ids.py.  text, bytes, then for each model the number of ids and the ids */\n")
    out.write("static const Golden golden[] = {\n")
    for data in [t.encode() for t in TEXTS] + BYTES:
        out.write("{ %s, %d, {\n" % (c_string(data), len(data)))
        for m in MODELS:
            v = ids(m, data)
            line = "    { %d, (const int32_t[]){ %s } }," % (len(v), ", ".join(map(str, v or [0])))
            out.write(re.sub(r"(.{100,118}?,) ", r"\1\n      ", line) + "\n")
        out.write("} },\n")
    out.write("};\n/* of each long text: bytes, then for each model the number of ids and their FNV-1a */\n")
    out.write("static const LongGolden long_golden[] = {\n")
    for data in long_texts():
        v = [ids(m, data) for m in MODELS]
        out.write("{ %d, { { %d, 0x%016xu }, { %d, 0x%016xu } } },\n" % (len(data), len(v[0]), fnv(v[0]), len(v[1]), fnv(v[1])))
    out.write("};\n")
