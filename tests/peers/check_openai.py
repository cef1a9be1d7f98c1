"""`asvr serve` asked by the client that people have, openai of PyPI: texts, pictures, talks, streams, many at once, and its errors; answers are
those of `asvr chat`."""
import base64, importlib.metadata, io, json, os, re, signal, subprocess, sys, threading, time
from concurrent.futures import ThreadPoolExecutor

import openai
from PIL import Image

ASVR, TMP = os.environ["ASVR"], os.environ["TMP"]
CONFIG = os.path.join(os.getcwd(), "configs", "tiny.cfg")
SET = ("text.model=text.model data.set=shards/index.set data.samples=48 data.val_samples=14 train.steps=40 train.global_batch=8 ckpt.every=0 run.dir=tiny "
       "chat.temperature=1 chat.max_new=40 serve.max_tokens=40 serve.port=0 parallel.threads=1").split()
bad = 0


def said(ok, claim, detail=""):
    global bad
    bad += not ok
    print(("ok " if ok else "FAIL ") + "openai: " + claim + (": " + str(detail)[:1500] if detail and not ok else ""), flush=True)


def asvr(verb, *sets, stdin=None):
    args = [ASVR, verb, CONFIG] + [w for s in (*SET, *sets) for w in ("--set", s)]
    p = subprocess.run(args, cwd=TMP, capture_output=True, input=stdin)
    if p.returncode:
        sys.exit("%s ended with %d:\n%s" % (verb, p.returncode, p.stderr.decode(errors="replace")))
    return p.stdout.decode(errors="replace")


class Served:
    def __init__(self, *sets):
        self.out = open(os.path.join(TMP, "served"), "w+")
        self.p = subprocess.Popen([ASVR, "serve", CONFIG] + [w for s in (*SET, *sets) for w in ("--set", s)], cwd=TMP, stdout=self.out, stderr=subprocess.STDOUT)
        while not (m := re.search(r"(http://\S+)", open(self.out.name).read())):
            if self.p.poll() is not None:
                sys.exit("serve did not start:\n" + open(self.out.name).read())
            time.sleep(0.05)
        self.url = m.group(1) + "/v1"

    def client(self, key="none", **more):
        return openai.OpenAI(base_url=self.url, api_key=key, max_retries=0, timeout=120, **more)

    def end(self):
        self.p.send_signal(signal.SIGTERM)
        return self.p.wait(timeout=60)


def raises(kind, status, ask, code=None, param=None):
    try:
        ask()
    except openai.APIStatusError as e:
        return type(e) is kind and e.status_code == status and (code is None or e.code == code) and (param is None or e.param == param) or repr((e, e.code, e.param))
    return "no error"


def picture(name, colour):
    path = os.path.join(TMP, name)
    Image.new("RGB", (40, 30), colour).save(path)
    return path, {"type": "image_url", "image_url": {"url": "data:image/png;base64," + base64.b64encode(open(path, "rb").read()).decode()}}


def user(content):
    return {"role": "user", "content": content}


def plain(text):
    return text.replace("\n", " ").replace("\r", " ").strip()


asvr("pack")
asvr("train")
red, red_part = picture("red.png", (200, 30, 20))
blue, blue_part = picture("blue.png", (20, 30, 200))
served = Served()
client = served.client()


def ask(messages, **more):
    return client.chat.completions.create(model="tiny", messages=messages, **more)


print("openai %s" % importlib.metadata.version("openai"))
said([m.id for m in client.models.list()] == ["tiny"] and client.models.retrieve("tiny").owned_by == "asvr", "models.list and retrieve name the model")

one = ask([user("How many?")])
a = one.choices[0].message.content
want = asvr("chat", stdin=b"How many?\n")
said(plain(a) == want.strip() and len(a) > 5 and one.usage.total_tokens == one.usage.prompt_tokens + one.usage.completion_tokens, "a text is answered as by chat", (a, want))
b = ask([user([{"type": "text", "text": "what is it?"}, red_part])]).choices[0].message.content
want = asvr("chat", "chat.image=" + red, stdin=b"what is it?\n")
said(plain(b) == want.strip(), "a picture, base64 PNG, is seen as by chat", (b, want))
turns = [user("How many?"), {"role": "assistant", "content": a}, user([red_part, blue_part, {"type": "text", "text": "and here?"}])]
c = ask(turns).choices[0].message.content
want = asvr("chat", "chat.talk=yes", stdin=b"How many?\n/image red.png\n/image blue.png\nand here?\n").split("\n")
said(plain(c) == want[1].strip() and plain(a) == want[0].strip(), "two turns, two pictures: as a talk of chat", (c, want))

stream = list(ask(turns, stream=True, stream_options={"include_usage": True}))
text = "".join(k.choices[0].delta.content or "" for k in stream if k.choices)
said(text == c and len(stream) >= 4 and stream[0].choices[0].delta.role == "assistant" and stream[-1].usage.completion_tokens > 0 and
     [k.choices[0].finish_reason for k in stream if k.choices and k.choices[0].finish_reason] in (["stop"], ["length"]), "a stream is the same answer, in pieces", (text, c, [k.model_dump() for k in stream]))
system = ask([{"role": "system", "content": "x"}, user("How many?")], temperature=0).choices[0]
said(system.finish_reason in ("stop", "length"), "a system message")

questions = [[user([red_part if i % 2 else blue_part, {"type": "text", "text": "question %d?" % i}])] for i in range(16)]
alone = [ask(q, seed=i).choices[0].message.content for i, q in enumerate(questions)]
with ThreadPoolExecutor(16) as pool:
    together = list(pool.map(lambda i: ask(questions[i], seed=i).choices[0].message.content, range(16)))
said(together == alone and len(set(alone)) > 8, "16 at once are answered as one by one", list(zip(alone, together)))

for kind, status, why, call in (
        (openai.BadRequestError, 400, "unsupported_parameter", lambda: ask([user("x")], tools=[{"type": "function", "function": {"name": "f"}}])),
        (openai.BadRequestError, 400, "unsupported_parameter", lambda: ask([user("x")], n=2)),
        (openai.BadRequestError, 400, "invalid_image_url", lambda: ask([user([{"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}}])])),
        (openai.BadRequestError, 400, "invalid_image", lambda: ask([user([{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}])])),
        (openai.BadRequestError, 400, "context_length_exceeded", lambda: ask([user("why " * 900)])),
        (openai.NotFoundError, 404, "model_not_found", lambda: client.chat.completions.create(model="gpt-4", messages=[user("x")]))):
    got = raises(kind, status, call, why)
    said(got is True, "%s: %s" % (kind.__name__, why), got)
said(served.end() == 0, "TERM ends it with 0")

served = Served("serve.api_key=secret", "serve.batch=1", "serve.queue=1", "serve.max_body=100000", "serve.max_tokens=200")
got = raises(openai.AuthenticationError, 401, lambda: served.client("wrong").models.list(), "invalid_api_key")
said(got is True, "AuthenticationError: another key", got)
client = served.client("secret")
got = raises(openai.APIStatusError, 413, lambda: ask([user("x" * 300000)]), "request_too_large")
said(got is True, "413: a body over serve.max_body", got)
with ThreadPoolExecutor(40) as pool:
    got = list(pool.map(lambda i: raises(openai.RateLimitError, 429, lambda: ask([user("how many?")], seed=i, temperature=2), "rate_limit_exceeded"), range(40)))
said(True in got and set(got) <= {True, "no error"}, "RateLimitError: forty at once, where one waits", got)
client = served.client("secret").with_options(max_retries=20)
with ThreadPoolExecutor(8) as pool:
    got = list(pool.map(lambda i: ask([user("how many?")], seed=i, max_tokens=4).choices[0].finish_reason, range(8)))
said(all(g in ("stop", "length") for g in got), "the client comes again after Retry-After, until it is answered", got)
said(served.end() == 0, "and ends with 0")
sys.exit(bad > 0)
