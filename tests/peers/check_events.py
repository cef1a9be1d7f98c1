#!/usr/bin/env python3
"""TensorBoard reads what `run.tensorboard = true` writes, through its Python reader and its server: the numbers of run.jsonl and of
evaluations, each step once, over a life that was killed between two checkpoints; scores of benchmarks.  Needs tensorboard.  Environment: ASVR, TMP.  Run from the root."""
import glob
import json
import os
import re
import shutil
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
tables = os.path.abspath("tests/golden/kits")
os.chdir(os.environ["TMP"])
STEPS, EVERY, KILLED = 60, 20, 24         # sixteen steps for the kill to come in
EVALUATED = {"instruct": 2, "tokenizer": 30}        # steps between evaluations: those of the killed life behind step 20 are done again, too
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


def evaluated(line):
    """What a line of evals.jsonl says, by tag."""
    tasks = line["tasks"]
    of = {"eval/" + key: x for key, x in line.items() if key not in ("step", "time", "tasks", "best") and (tasks or key != "mean")}
    of |= {"accuracy/" + t: task["accuracy"] for t, task in tasks.items()}
    return of | ({"eval/questions": sum(task["n"] for task in tasks.values())} if tasks else {})


def close(tag, x, y):
    """loss stands in run.jsonl to the bit; of the others nine digits: half a unit of the ninth, and the rounding to float32."""
    return np.float32(y) == x if tag == "loss" else abs(x - y) <= abs(y) * (2.0 ** -24 + 5e-9)


def same(x, y):
    """In evals.jsonl and benchmarks.jsonl a number has all its digits."""
    return np.float32(np.nan if y is None else y).tobytes() == np.float32(x).tobytes()


def run(stage, killed=0):
    words = [asvr, "train", config, "--set", "run.tensorboard=true", "--set", "run.dir=runs/" + stage, "--set", "train.stage=" + stage,
             "--set", "train.steps=%d" % STEPS, "--set", "ckpt.every=%d" % EVERY, "--set", "ckpt.async=false", "--set", "chat.max_new=4",
             "--set", "eval.every=%d" % EVALUATED[stage], "--set", "eval.samples=8", "--set", "ckpt.keep=3"]
    job = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    log = "runs/%s/run.jsonl" % stage
    while killed and job.poll() is None and not (os.path.exists(log) and open(log).read().count("\n") >= killed):
        time.sleep(0.005)
    if killed:
        job.send_signal(signal.SIGKILL)
    if job.wait() != (-signal.SIGKILL if killed else 0):
        sys.exit("%s ended with %d" % (stage, job.returncode))


def lines_of(path):
    return [json.loads(line) for line in open("runs/" + path)]


def read_back(folder):
    """What TensorBoard's Python reader has of a folder: by tag [(step, value, time)]; the files there."""
    files = sorted(glob.glob("runs/%s/events.out.tfevents.*" % folder))
    seen = EventAccumulator("runs/" + folder, size_guidance={"scalars": 0})
    seen.Reload()
    return {t: [(s.step, s.value, s.wall_time) for s in seen.Scalars(t)] for t in seen.Tags()["scalars"]}, files


def benchmarks(step):
    words = [asvr, "eval", config, "--set", "run.tensorboard=true", "--set", "run.dir=runs/instruct", "--set", "chat.max_new=4",
             "--set", "eval.from=runs/instruct/ckpt/step-%08d" % step, "--set", "eval.tsv=bench"]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)


subprocess.run([asvr, "pack", config], check=True, stdout=subprocess.DEVNULL)
run("instruct", killed=KILLED)
first = sorted(glob.glob("runs/instruct/tensorboard/*"))[0]
os.truncate(first, os.path.getsize(first) - 100)                # as a machine that fails leaves it
held = [e for e in EventFileLoader(first).Load() if e.HasField("summary")]
done = max(e.step for e in held)
passed = len({e.step for e in held if e.step > EVERY and any(v.tag == "eval/loss" for v in e.summary.value)})       # of no account
run("instruct")
run("tokenizer")
for stage in "instruct", "tokenizer":
    seen, files = read_back(stage + "/tensorboard")
    lines, evals = lines_of(stage + "/run.jsonl"), lines_of(stage + "/evals.jsonl")
    wanted, found = [scalars(line) for line in lines], {line["step"]: evaluated(line) for line in evals}
    claim(set(seen) == set(wanted[0]) | set(found[STEPS]) and len({t.split("/")[0] for t in seen}) > 5,
          "tensorboard %s, %s: %d tags, no other ones: %s" % (version.VERSION, stage, len(seen), " ".join(sorted(seen))))
    at_eval = {t: seen.pop(t) for t in found[STEPS]}
    moments = {line["step"]: line["time"] for line in evals}
    equal = sum(same(x, found[s][t]) and at == moments[s] for t, points in at_eval.items() for s, x, at in points)
    steps = list(range(EVALUATED[stage], STEPS + 1, EVALUATED[stage]))
    there = all([s for s, _, _ in points] == steps for points in at_eval.values()) and [line["step"] for line in evals] == steps
    claim(there and equal == len(steps) * len(at_eval) and (passed > 0 or len(files) == 1), "%s: %d evaluations, each once%s: %d values and times are those of evals.jsonl, to the bit of a float32" %
          (stage, len(steps), ", though %d were done twice" % passed if len(files) > 1 else "", equal))
    again = done - sum(line["restart"] == 0 for line in lines)
    there = all([s for s, _, _ in points] == list(range(1, STEPS + 1)) for points in seen.values())
    claim(there and (again > 0 or len(files) == 1), "%s: %d files; each of %d steps once, in order%s" % (stage, len(files), STEPS,
          "; the first life was killed, its last record cut, and %d steps were done again" % again if len(files) > 1 else ""))
    equal = sum(close(t, x, wanted[s - 1][t]) and abs(at - lines[s - 1]["time"]) < 6e-4 for t, points in seen.items() for s, x, at in points)
    claim(equal == STEPS * len(wanted[0]), "%s: %d values and times are those of run.jsonl" % (stage, equal))

os.mkdir("bench")
shutil.copy(tables + "/POPE.tsv", "bench")
for step in 60, 40, 60:                                         # later, earlier, again
    shutil.copy(tables + ("/MMVP.tsv" if step == 40 else "/POPE.tsv"), "bench")
    benchmarks(step)
seen, files = read_back("instruct/tensorboard/benchmarks")
lines = lines_of("instruct/benchmarks.jsonl")
scores = {(step, t): [line for line in lines if line["step"] == step][-1] for step in (40, 60) for t in ("POPE", "MMVP")}
points = {("benchmark/" + t): [(s, scores[s, t]["benchmarks"][t]["score"], scores[s, t]["time"]) for s in (40, 60)] for t in ("POPE", "MMVP")}
right = set(seen) == set(points) and all(a == c and same(x, y) and at == t for tag in points for (a, x, at), (c, y, t) in zip(seen[tag], points[tag], strict=True))
claim(right and len(files) == 3 and len(lines) == 3, "benchmarks at steps 60, 40 and 60 again, %d files: of each table and step its last score and time in benchmarks.jsonl, once" % len(files))

server = subprocess.Popen([sys.executable, "-m", "tensorboard.main", "--logdir", "runs", "--port", "0", "--load_fast", "true"], stderr=subprocess.PIPE, text=True)
try:
    for line in server.stderr:
        found = re.search(r"http://localhost:\d+/", line)
        if found:
            break
    drawn, end = {}, time.time() + 30
    asked = {("instruct", "loss"): list(range(1, STEPS + 1)), ("tokenizer", "loss"): list(range(1, STEPS + 1)),
             ("instruct", "eval/mean"): list(range(2, STEPS + 1, 2)), ("instruct", "benchmark/POPE"): [40, 60]}
    while time.time() < end and any(len(drawn.get(key, [])) < len(steps) for key, steps in asked.items()):
        time.sleep(0.5)
        for stage, tag in asked:
            ask = urllib.parse.urlencode({"run": stage + "/tensorboard" + ("/benchmarks" if tag == "benchmark/POPE" else ""), "tag": tag})
            try:
                drawn[stage, tag] = json.load(urllib.request.urlopen(found[0] + "data/plugin/scalars/scalars?" + ask))
            except urllib.error.HTTPError:                      # it has not loaded that yet
                pass
    right = all([p[1] for p in drawn.get(key, [])] == steps for key, steps in asked.items())
    claim(right, "its server draws `tensorboard --logdir runs`, each step once: " + ", ".join("%s of %s %d points" % (t, s, len(drawn[s, t])) for s, t in drawn))
finally:
    server.terminate()
sys.exit(failed > 0)
