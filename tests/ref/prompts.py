#!/usr/bin/env python3
"""Writes tests/golden/prompts.h: conversations, and the tokens, labels and text targets that each template makes of them.
The templates are spelt here once more, as their publishers write them; ids come from spm_train and spm_encode
(SentencePiece 0.1.97).  Run from the root; the output is committed."""
import os
import re
import subprocess
import tempfile

P = 3                                   # rows of a picture
V1 = ("A chat between a curious user and an artificial intelligence assistant. "
      "The assistant gives helpful, detailed, and polite answers to the user's questions.")
LLAVA = ("You are a helpful language and vision assistant. You are able to understand the visual content that the user "
         "provides, and assist the user with a variety of tasks using natural language.")
folder = tempfile.mkdtemp()
os.environ["LC_ALL"] = "C.UTF-8"


# ---- text models: those that tests/io/text/test_prompt.c trains ----
def train(name, *more):
    corpus = os.path.join(folder, "corpus")
    with open(corpus, "w") as f:
        for i in range(40):
            f.write("%s USER: What is on the %s? ASSISTANT: A %s cat.\n"
                    % (V1, "left" if i % 2 == 0 else "right", "red" if i % 3 else "big"))
    prefix = os.path.join(folder, name)
    subprocess.run(["spm_train", "--input=" + corpus, "--model_prefix=" + prefix, "--vocab_size=400", "--model_type=bpe",
                    "--hard_vocab_limit=false", "--byte_fallback=true", "--unk_id=0", "--bos_id=1", "--eos_id=2",
                    "--pad_id=-1", "--normalization_rule_name=identity", "--remove_extra_whitespaces=false",
                    "--num_threads=1", "--max_sentence_length=1048576", "--minloglevel=4", *more], check=True)
    with open(prefix + ".model", "rb") as f:
        model = f.read()
    with open(prefix + ".more", "wb") as f:          # add_dummy_prefix = false, remove_extra_whitespaces = false
        f.write(model + bytes([3 << 3 | 2, 4, 3 << 3, 0, 4 << 3, 0]))
    pieces = [line.split("\t")[0] for line in open(prefix + ".vocab", encoding="utf-8").read().split("\n")[:-1]]
    return prefix, {p: i for i, p in enumerate(pieces)}


def spm_encode(model, line):
    out = subprocess.run(["spm_encode", "--model=" + model, "--output_format=id"], input=(line + "\n").encode(),
                         stdout=subprocess.PIPE, check=True).stdout
    return [int(x) for x in out.split()]


MARKS = ("<|im_start|> <|im_end|> <|start_header_id|> <|end_header_id|> <|eot_id|> [INST] [/INST] <start_of_turn> <end_of_turn> "
         "<think> </think> <|endoftext|> <|end_of_text|>").split()
MODELS = [train("plain"), train("symbols", "--control_symbols=<|im_start|>,<|im_end|>"), train("marks", "--control_symbols=" + ",".join(MARKS))]


def encode(which, text, begins):
    prefix, piece = MODELS[which]
    ids = []
    for k, line in enumerate(text.split("\n")):
        ids += [piece["<0x0A>"]] if k else []
        ids += spm_encode(prefix + (".model" if begins and k == 0 else ".more"), line) if line else []
    return ids


# ---- a template's text: <s> </s> <image> and, with symbols, the marks of ChatML are ids; { } encloses what is learned ----
def tokens_of(which, written):
    special = {"<s>": 1, "</s>": 2, "<image>": -200}
    if which:
        special.update({m: MODELS[which][1][m] for m in MARKS if m in MODELS[which][1]})
    ids, labels, learned, begins = [], [], False, True
    for part in re.split("(%s|[{}])" % "|".join(map(re.escape, special)), written):
        if part in ("{", "}"):
            learned = part == "{"
            continue
        new = [special[part]] if part in special else encode(which, part, begins) if part else []
        if part and part != "<image>":
            begins = part == "<s>"
        ids += new
        labels += [learned] * len(new)
    return ids, labels


def plain(turns, images, system):
    return "<s>" + "<image>" * images + "{" + turns[0][1] + "\n}"


def v1(turns, images, system):
    system = V1 if system is None else system
    text = "<s>" + (system + " " if system else "")
    for i, (q, a) in enumerate(turns):
        text += "USER: " + "<image>\n" * (images if i == 0 else 0) + q + " ASSISTANT:{ " + a + "</s>}"
    return text


def llama2(turns, images, system):
    system = LLAVA if system is None else system
    text = ""
    for i, (q, a) in enumerate(turns):
        if i == 0:
            q = ("<<SYS>>\n" + system + "\n<</SYS>>\n\n" if system else "") + "<image>\n" * images + q
        text += "<s>[INST] " + q + " [/INST]{ " + a + "</s>}"
    return text


def mistral(turns, images, system):
    text = "<s>"
    for i, (q, a) in enumerate(turns):
        if i == 0:
            q = (system + "\n\n" if system else "") + "<image>\n" * images + q
        text += "[INST] " + q + " [/INST]{ " + a + "</s>}"
    return text


def chatml(turns, images, system, symbols=True):
    system = "You are a helpful assistant." if system is None else system
    end = "<|im_end|>" if symbols else "</s>"
    text = "" if symbols else "<s>"
    text += "<|im_start|>system\n" + system + "<|im_end|>\n" if system else ""
    for i, (q, a) in enumerate(turns):
        text += "<|im_start|>user\n" + "<image>\n" * (images if i == 0 else 0) + q + "<|im_end|>\n"
        text += "<|im_start|>assistant\n{" + a + end + "}\n"
    return text


def chatml_spelt(turns, images, system):
    return chatml(turns, images, system, False)


def smollm2(turns, images, system):
    return chatml(turns, images, "You are a helpful AI assistant named SmolLM, trained by Hugging Face" if system is None else system)


def qwen3(turns, images, system):
    text = chatml(turns, images, system or "")
    at = text.rindex("<|im_start|>assistant\n") + len("<|im_start|>assistant\n")
    return text[:at] + "<think>\n\n</think>\n\n" + text[at:]


def llama3(turns, images, system, dates=""):
    def head(who):
        return "<|start_header_id|>" + who + "<|end_header_id|>\n\n"
    text = "<s>" + (head("system") + dates + (system or "") + "<|eot_id|>" if system or dates else "")
    for i, (q, a) in enumerate(turns):
        text += head("user") + "<image>\n" * (images if i == 0 else 0) + q + "<|eot_id|>" + head("assistant") + "{" + a + "<|eot_id|>}"
    return text


def llama31(turns, images, system):
    return llama3(turns, images, system, "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n")


def mistral3(turns, images, system, blank=" "):
    text = "<s>"
    for i, (q, a) in enumerate(turns):
        q = "<image>\n" * (images if i == 0 else 0) + q
        if system and i == len(turns) - 1:
            q = system + "\n\n" + q
        text += "[INST]" + blank + q + "[/INST]{" + blank + a + "</s>}"
    return text


def tekken(turns, images, system):
    return mistral3(turns, images, system, "")


def gemma(turns, images, system):
    text = "<s>"
    for i, (q, a) in enumerate(turns):
        if i == 0:
            q = (system + "\n\n" if system else "") + "<image>\n" * images + q
        text += "<start_of_turn>user\n" + q + "<end_of_turn>\n<start_of_turn>model\n{" + a + "<end_of_turn>}\n"
    return text


def zephyr(turns, images, system):
    text = "<s>" + ("<|system|>\n" + system + "</s>\n" if system else "")
    for i, (q, a) in enumerate(turns):
        text += "<|user|>\n" + "<image>\n" * (images if i == 0 else 0) + q + "</s>\n<|assistant|>\n{" + a + "</s>}\n"
    return text


# ---- conversations ----
ONE = [("What is on the left?", "A red cat.")]
MANY = [("What is on the left?", "A red cat."), ("And on the right?", "A  big\ncat, naïve."), ("Why?", "Because it is.")]
CASES = [("one turn", ONE, 1, None, 0), ("three turns and a system prompt", MANY, 1, "Answer in one word.", 0),
         ("no system prompt", ONE, 1, "", 0), ("text alone", MANY, 0, None, 0), ("two pictures", ONE, 2, None, 0),
         ("cut in the second answer", MANY, 1, None, 1), ("cut in front of any answer", ONE, 1, None, 2)]
# question, what is written of it, answer: pictures at their places
PLACED = [("places inside", [("Is it the <image> left\n<image>", "Is it the <image> left\n<image>", "A cat."),
                             ("<image> <image>\nOr on <image>\n?", "<image>\n<image>\nOr on <image>\n?", "A red cat.")]),
          ("places at the ends", [("What is it?\n<image>\n<image>", "<image>\n<image>\nWhat is it?", "A cat."),
                                  ("Or this?\n<image>", "Or this?\n<image>", "A red cat.")])]
TEMPLATES = [("PLAIN", plain, 0), ("V1", v1, 0), ("LLAMA2", llama2, 0), ("MISTRAL", mistral, 0), ("CHATML", chatml, 1),
             ("CHATML", chatml_spelt, 0), ("SMOLLM2", smollm2, 1), ("QWEN3", qwen3, 2), ("LLAMA3", llama3, 2), ("LLAMA31", llama31, 2),
             ("MISTRAL3", mistral3, 2), ("TEKKEN", tekken, 2), ("GEMMA", gemma, 2), ("ZEPHYR", zephyr, 2)]


def merged(ids, labels, max_len):
    """Row r - 1 learns the token that is row r: the text targets among the first max_len rows."""
    rows = []
    for t, learned in zip(ids, labels):
        rows += [None] * P if t == -200 else [(t, learned)]
    return [(r - 1, x[0]) for r, x in enumerate(rows[:max_len]) if x and x[1] and r > 0]


def row_of(ids, at):
    return sum(P if t == -200 else 1 for t in ids[:at])


def c_string(s):
    return '"' + "".join(chr(b) if 32 <= b < 127 and b not in b'"\\' else "\\%03o" % b for b in s.encode()) + '"'


def numbers(values):
    text = ", ".join(map(str, values))
    return re.sub(r"(.{90,108}?,) ", r"\1\n      ", text)


def write(out, name, function, which, what, turns, asked, images, drawn, system, cut):
    """asked: the turns as they are given; turns: as they are written, behind `drawn` pictures of `images`."""
    ids, labels = tokens_of(which, function(turns, drawn, system))
    learned = [k for k, x in enumerate(labels) if x]
    starts = [k for k in learned if k == 0 or not labels[k - 1]]
    max_len = 1000 if cut == 0 else row_of(ids, starts[-2 if len(turns) > 1 and len(starts) > 2 else -1]) + 3
    if cut == 2:
        max_len = row_of(ids, starts[0])
    targets = merged(ids, labels, max_len)
    assert (cut == 2) == (not targets)
    out.write('{ "%s, %s", TEMPLATE_%s, %d, %d, %s,\n' % (function.__name__, what, name, which, images,
                                                         "NULL" if system is None else c_string(system)))
    out.write("  %d, { %s }, %d,\n" % (len(asked), ", ".join("{ %s, %s }" % (c_string(q), c_string(a)) for q, a in asked), max_len))
    out.write("  %d, (const int32_t[]){ %s },\n" % (len(ids), numbers(ids)))
    mask = "".join("L" if x else "." for x in labels)
    out.write("  %s,\n" % "\n  ".join('"%s"' % mask[k:k + 100] for k in range(0, len(mask), 100)))
    flat = [v for pair in targets for v in pair] or [0]
    out.write("  %d, (const int32_t[]){ %s } },\n" % (len(targets), numbers(flat)))


with open("tests/golden/prompts.h", "w") as out:
    out.write("/* Written by tests/ref/prompts.py; %d rows a picture. */\n" % P)
    out.write("/* what, template, text model, pictures, system, turns, max_len, tokens, learned, text targets (row, id) */\n")
    for name, function, which in TEMPLATES[:6]:
        for what, turns, images, system, cut in CASES:
            turns = turns[:1] if name == "PLAIN" else turns
            write(out, name, function, which, what, turns, turns, images, images, system, cut)
    for name, function, which in TEMPLATES[6:]:
        for what, turns, images, system, cut in CASES[:4]:
            write(out, name, function, which, what, turns, turns, images, images, system, cut)
    for name, function, which in TEMPLATES[1:]:
        for what, turns in PLACED:
            images = sum(q.count("<image>") for q, _, _ in turns)
            write(out, name, function, which, what, [(w, a) for _, w, a in turns], [(q, a) for q, _, a in turns], images, 0, None, 0)
