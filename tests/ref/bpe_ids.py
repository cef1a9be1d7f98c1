"""Writes tests/golden/bpe.json, bpe_chars.json and bpe_ids.h: two small vocabularies, and the ids of tokenizers and tiktoken.

    pip install tokenizers==0.23.3 tiktoken==0.14.0;  python tests/ref/bpe_ids.py

One byte-level vocabulary (two symbols, 256 bytes, merges) serves every family of patterns: its cuts are put into the file by the
test as they stand here.  The other one spells characters and falls back to bytes, as SentencePiece's models do in tokenizer.json."""
import json
import os

import tiktoken
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

HERE = os.path.join(os.path.dirname(__file__), "..", "golden")
CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
QWEN = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = QWEN.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
UP, LOW = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
GPT4O = (r"[^\r\n\p{L}\p{N}]?%s*%s+%s?|[^\r\n\p{L}\p{N}]?%s+%s*%s?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
         % (UP, LOW, CONTRACTIONS, UP, LOW, CONTRACTIONS))
DEEPSEEK = ["\\p{N}{1,3}", "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
            "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*"
            "|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"]
P = pre_tokenizers
BYTES = P.ByteLevel(add_prefix_space=False, use_regex=False)
FAMILIES = {
    "gpt2": (P.ByteLevel(add_prefix_space=False), None),
    "gpt2, a space in front": (P.ByteLevel(add_prefix_space=True), None),
    "smollm2": (P.Sequence([P.Digits(individual_digits=True), P.ByteLevel(add_prefix_space=False)]), None),
    "llama3": (P.Sequence([P.Split(Regex(LLAMA3), "isolated"), BYTES]), None),
    "qwen2": (P.Sequence([P.Split(Regex(QWEN), "isolated"), BYTES]), normalizers.NFC()),
    "gpt4o": (P.Sequence([P.Split(Regex(GPT4O), "removed", invert=True), BYTES]), None),
    "deepseek": (P.Sequence([P.Split(Regex(p), "isolated") for p in DEEPSEEK] + [BYTES]), normalizers.Sequence([])),
    "every cut": (P.Sequence([P.Punctuation("merged_with_next"), P.Digits(), P.Split(Regex(r"\s"), "merged_with_previous"),
                              P.Split("e", "contiguous"), BYTES]),
                  normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase(), normalizers.Replace("cat", "dog"), normalizers.Prepend("x")])),
}
CHARS = {
    "llama2": (None, normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])),
    "mistral": (P.Metaspace(prepend_scheme="first", split=False), None),
    "metaspace": (P.Metaspace(), None),
    "gemma": (P.Split(" ", "merged_with_previous"), normalizers.Replace(" ", "\u2581")),
}
ADDED = [AddedToken("<tool>", normalized=True), AddedToken("word", single_word=True, normalized=False), AddedToken("<left>", lstrip=True, normalized=False),
         AddedToken("<both>", lstrip=True, rstrip=True), AddedToken("    ", normalized=True), AddedToken("<|im_", normalized=False)]
TEXTS = ["", "A cat.", "  two  spaces  ", "tab\tand\nline\r\n\r\n end", "I'm WE'LL don't it\u2019s 'S '\u017ft", "1234567 12\u00b2\u0663 3.14",
         "\u65e5\u672c\u8a9e \u0438 \u0440\u0443\u0441\u0441\u043a\u0438\u0439, \u05e9\u05dc\u05d5\u05dd", "e\u0301 \u00e9 \u1100\u1161 \ufb01 \u0130 \u212b",
         "\U0001F642\U0001F469\u200D\U0001F469\u200D\U0001F467", "\x00\x01\x02\x7f\x1c\x85\u180e \u3000x", "if (x != y) {\n\t\treturn fooBarHTTP2;\n}\n", " " * 50 + "x",
         "<|im_end|> <s> </s>", "the cat and the dog " * 3 + "t" * 100 + "hethe", "=" * 70 + "!?!\n\n", "a/b//c\n/"]
MARKED = ["<|im_start|>user\n hi<|im_end|>\n", "a  <left> b <both>   c", "word words sword word", "<tool><TOOL><|im_<|im_star", "x     <both>", "<left><left>  <left>"]
CORPUS = ["the cat and the dog see the red apple on the left, then there is another one over here",
          "what is this? it is a train with 12 wheels; don't you see? I'm here, we'll go.", "def f(x):\n    return x + 1\n", "    " * 4 + "x = y\n",
          "\u65e5\u672c\u8a9e\u306e\u6587\u7ae0 \u65e5\u672c", "\u0440\u0443\u0441\u0441\u043a\u0438\u0439 \u044f\u0437\u044b\u043a \u0438 \u043a\u043e\u0442", "caf\u00e9 \u00e9t\u00e9",
          "fooBar HTTP fooBar HTTP", "1234 12 3456", "!!! ??? === ---"]


def octal(s):
    return '"' + "".join(chr(b) if 32 <= b < 127 and b not in b'"\\?' else "\\%03o" % b for b in s.encode()) + '"'


def ids(rows):
    return "{ %d, (const int32_t[]){ %s } }" % (len(rows), ", ".join(map(str, rows)) or "0")


def save(tok, name):
    j = json.loads(tok.to_str())
    j["model"]["merges"] = [" ".join(m) if isinstance(m, list) else m for m in j["model"]["merges"]]
    with open(os.path.join(HERE, name), "w") as f:
        f.write(json.dumps(j, ensure_ascii=True, separators=(",", ":")).replace('"added_tokens"', '\n"added_tokens"').replace('"vocab"', '\n"vocab"')
                .replace('"merges"', '\n"merges"') + "\n")
    return json.dumps(j)


def family(base, pre, normal, added):
    tok = Tokenizer.from_str(base)
    if pre is not None:
        tok.pre_tokenizer = pre
    if normal is not None:
        tok.normalizer = normal
    if added:
        tok.add_tokens(ADDED)
    return tok


def table(out, name, base, families):
    added = json.loads(family(base, None, None, True).to_str())["added_tokens"]
    out.append("static const char %s_added[] =\n    %s;" % (name, octal(json.dumps(added))))
    out.append("static const Family %s[] = {" % name)
    for title, (pre, normal) in families.items():
        marked = family(base, pre, normal, True)
        state = json.loads(marked.to_str())
        j = json.loads(base)
        j["added_tokens"] = []
        bare = family(json.dumps(j), pre, normal, False)
        out.append("  { %s,\n    %s,\n    %s, {" % tuple(map(octal, (title, json.dumps(state["pre_tokenizer"]), json.dumps(state["normalizer"])))))
        out += ["    %s," % ids(bare.encode(t, add_special_tokens=False).ids) for t in TEXTS]
        out.append("  }, {")
        out += ["    %s," % ids(marked.encode(t, add_special_tokens=False).ids) for t in MARKED]
        out.append("  } },")
    out.append("};")


def main():
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = P.ByteLevel(add_prefix_space=False)
    tok.decoder = decoders.ByteLevel()
    tok.train_from_iterator(CORPUS * 3, trainers.BpeTrainer(vocab_size=430, special_tokens=["<|im_start|>", "<|im_end|>"], show_progress=False,
                                                            initial_alphabet=P.ByteLevel.alphabet()))
    base = save(tok, "bpe.json")
    tok = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tok.normalizer = CHARS["llama2"][1]
    tok.train_from_iterator(CORPUS * 3, trainers.BpeTrainer(vocab_size=420, special_tokens=["<unk>", "<s>", "</s>"] + ["<0x%02X>" % i for i in range(256)],
                                                            show_progress=False, limit_alphabet=70, max_token_length=8))
    j = json.loads(tok.to_str())
    tok = Tokenizer.from_str(json.dumps(dict(j, added_tokens=j["added_tokens"][:3])))
    tok.normalizer = normalizers.Sequence([])
    chars = save(tok, "bpe_chars.json")

    out = ["/* Written by tests/ref/bpe_ids.py: ids of tokenizers 0.23.3 and tiktoken 0.14.0. */",
           "enum { TEXTS = %d, MARKED = %d };" % (len(TEXTS), len(MARKED)),
           "typedef struct { int n; const int32_t *id; } Ids;",
           "typedef struct { const char *name, *pre_tokenizer, *normalizer; Ids ids[TEXTS], marked[MARKED]; } Family;",
           "static const struct { const char *s; int n; } texts[] = {"]
    out += ["    { %s, %d }," % (octal(t), len(t.encode())) for t in TEXTS]
    out += ["};", "static const char *const marked_texts[] = {"] + ["    %s," % octal(t) for t in MARKED] + ["};"]
    table(out, "families", base, FAMILIES)
    table(out, "characters", chars, CHARS)
    vocab = json.loads(base)["model"]["vocab"]
    printable = [b for b in range(256) if chr(b).isprintable() and b not in (32, 160, 173)]
    others = [b for b in range(256) if b not in printable]
    byte = {chr(b): b for b in printable} | {chr(256 + i): b for i, b in enumerate(others)}
    ranks = {bytes(byte[c] for c in t): i - 2 for t, i in vocab.items() if i >= 2}
    enc = tiktoken.Encoding("x", pat_str=LLAMA3, mergeable_ranks=ranks, special_tokens={})
    out += ["static const Ids of_ranks[] = {"] + ["    %s," % ids(enc.encode_ordinary(t)) for t in TEXTS] + ["};"]
    with open(os.path.join(HERE, "bpe_ids.h"), "w") as f:
        f.write("\n".join(out) + "\n")


main()
