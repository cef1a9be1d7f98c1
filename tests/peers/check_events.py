#!/usr/bin/env python3
"""TensorBoard reads what `run.tensorboard = true` writes, through its Python reader and its server: the numbers of run.jsonl, each step
once, over a life that was killed between two checkpoints.  Needs tensorboard.  Environment: ASVR, TMP.  Run from the root."""
import glob
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request

import numpy as np
from tensorboard import version
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

asvr, config = os.path.abspath(os.environ["ASVR"]), os.path.abspath("configs/tiny.cfg")
os.chdir(os.environ["TMP"])
STEPS, EVERY, KILLED = 60, 20, 24         # sixteen steps for the kill to come in
failed = 0


def claim(ok, words):
    global failed
    failed += not ok
    print(("ok   " if ok else "FAIL ") + words, flush=True)


PLAIN = {"loss": "loss", "loss/text": "loss_text", "loss/visual": "loss_visual", "grad_norm": "grad_norm", "lr": "lr", "skipped": "skipped",
         "rate/samples_per_s": "samples_per_s", "rate/tokens_per_s": "tokens_per_s", "rate/flops_share": "flops_share", "memory/rss_mb": "rss_mb"}
PLAIN |= {"time/" + t: "t_" + t for t in "step data forward backward reduce optim ckpt".split()}
LISTS = {"loss/visual_depth": "loss_visual_depth", "codes/usage": "code_usage", "codes/perplexity": "code_perplexity"}


def scalars(line):
    """What a line of run.jsonl says, by tag."""
    of = {tag: line[key] for tag, key in PLAIN.items()}
    of["loss"] = float.fromhex(line["loss_hex"])
    for stem, key in LISTS.items():
        of |= {"%s_%d" % (stem, i): x for i, x in enumerate(line[key])}
    return of | ({"codes/restarts": line["code_restarts"]} if line["code_usage"] else {})


def close(tag, x, y):
    """loss stands in run.jsonl to the bit; of the others nine digits: half a unit of the ninth, and the rounding to float32."""
    return np.float32(y) == x if tag == "loss" else abs(x - y) <= abs(y) * (2.0 ** -24 + 5e-9)


def run(stage, killed=0):
    words = [asvr, "train", config, "--set", "run.tensorboard=true", "--set", "run.dir=runs/" + stage, "--set", "train.stage=" + stage,
             "--set", "train.steps=%d" % STEPS, "--set", "ckpt.every=%d" % EVERY, "--set", "ckpt.async=false"]
    job = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    log = "runs/%s/run.jsonl" % stage
    while killed and job.poll() is None and not (os.path.exists(log) and open(log).read().count("\n") >= killed):
        time.sleep(0.005)
    if killed:
        job.send_signal(signal.SIGKILL)
    if job.wait() != (-signal.SIGKILL if killed else 0):
        sys.exit("%s ended with %d" % (stage, job.returncode))


def read_back(stage):
    """What TensorBoard's Python reader has of a run: by tag [(step, value, time)]; how many steps its files hold; run.jsonl."""
    files = sorted(glob.glob("runs/%s/tensorboard/events.out.tfevents.*" % stage))
    seen = EventAccumulator("runs/%s/tensorboard" % stage, size_guidance={"scalars": 0})
    seen.Reload()
    lines = [json.loads(line) for line in open("runs/%s/run.jsonl" % stage)]
    return {t: [(s.step, s.value, s.wall_time) for s in seen.Scalars(t)] for t in seen.Tags()["scalars"]}, files, lines


subprocess.run([asvr, "pack", config], check=True, stdout=subprocess.DEVNULL)
run("instruct", killed=KILLED)
first = sorted(glob.glob("runs/instruct/tensorboard/*"))[0]
os.truncate(first, os.path.getsize(first) - 100)                # as a machine that fails leaves it
done = max(e.step for e in EventFileLoader(first).Load() if e.HasField("summary"))
run("instruct")
run("tokenizer")
for stage in "instruct", "tokenizer":
    seen, files, lines = read_back(stage)
    wanted = [scalars(line) for line in lines]
    claim(set(seen) == set(wanted[0]) and len({t.split("/")[0] for t in seen}) > 5,
          "tensorboard %s, %s: %d tags, no other ones: %s" % (version.VERSION, stage, len(seen), " ".join(sorted(seen))))
    again = done - sum(line["restart"] == 0 for line in lines)
    there = all([s for s, _, _ in points] == list(range(1, STEPS + 1)) for points in seen.values())
    claim(there and (again > 0 or len(files) == 1), "%s: %d files; each of %d steps once, in order%s" % (stage, len(files), STEPS,
          "; the first life was killed, its last record cut, and %d steps were done again" % again if len(files) > 1 else ""))
    same = sum(close(t, x, wanted[s - 1][t]) and abs(at - lines[s - 1]["time"]) < 6e-4 for t, points in seen.items() for s, x, at in points)
    claim(same == STEPS * len(wanted[0]), "%s: %d values and times are those of run.jsonl" % (stage, same))

server = subprocess.Popen([sys.executable, "-m", "tensorboard.main", "--logdir", "runs", "--port", "0", "--load_fast", "true"], stderr=subprocess.PIPE, text=True)
try:
    for line in server.stderr:
        found = re.search(r"http://localhost:\d+/", line)
        if found:
            break
    drawn, end = {}, time.time() + 30
    while time.time() < end and len(drawn.get("instruct", [])) != STEPS:
        time.sleep(0.5)
        for stage in "instruct", "tokenizer":
            ask = urllib.parse.urlencode({"run": stage + "/tensorboard", "tag": "loss"})
            try:
                drawn[stage] = json.load(urllib.request.urlopen(found[0] + "data/plugin/scalars/scalars?" + ask))
            except urllib.error.HTTPError:                      # it has not loaded that yet
                pass
    right = all([p[1] for p in drawn.get(s, [])] == list(range(1, STEPS + 1)) for s in ("instruct", "tokenizer"))
    claim(right, "its server draws `tensorboard --logdir runs`: two runs, %s points of loss, each step once" % [len(drawn[s]) for s in drawn])
finally:
    server.terminate()
sys.exit(failed > 0)
