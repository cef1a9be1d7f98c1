"""Scores of `asvr eval` beside those of lmms-eval and of VLMEvalKit: their own functions, the same answers; and lmms-eval's model from_log reads what we write."""
import collections, importlib.metadata, json, math, os, subprocess, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import kits

TMP, ASVR = os.environ["TMP"], os.environ["ASVR"]
TABLES, ROWS = 25, 84                   # twenty-five small tables tell more than a large one: mistakes do not cancel
config = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../configs/tiny.cfg")
run = os.path.join(TMP, "run")


def asvr(*sets):
    r = subprocess.run([ASVR, "eval", config] + [x for s in ("run.dir=" + run,) + sets for x in ("--set", s)], capture_output=True, text=True)
    if r.returncode:
        print("FAIL kits: asvr eval ended with %d: %s" % (r.returncode, r.stderr.strip()))
        sys.exit(1)
    return r.stdout


def differs(ours, theirs, path=""):
    """The first of their figures that ours has otherwise."""
    for k, v in theirs.items():
        mine = ours.get(k)
        if isinstance(v, dict):
            if not isinstance(mine, dict) or differs(mine, v, path + k + "."):
                return differs(mine, v, path + k + ".") if isinstance(mine, dict) else path + k
        elif isinstance(v, float) and math.isnan(v):
            if mine is not None:
                return "%s%s: %r here, nan there" % (path, k, mine)
        elif mine is None or abs(mine - v) > 1e-9 * max(1, abs(v)):
            if k == "mmmu_acc" and mine is not None and round(mine, 5) == v:       # theirs is rounded
                continue
            return "%s%s: %r here, %r there" % (path, k, mine, v)
    return None


versions = {k: importlib.metadata.version(p) for k, p in (("lmms-eval", "lmms_eval"), ("VLMEvalKit", "ms_vlmeval"))}
bad = 0
for name in kits.KINDS:
    bench, preds = os.path.join(TMP, "bench-" + name), os.path.join(TMP, "preds-" + name)
    os.makedirs(bench), os.makedirs(preds)
    made = {"%s_%02d" % (name, i): kits.rows(name, ROWS, i) for i in range(TABLES)}
    for n, m in made.items():
        kits.write_tables(bench, preds, n, m)
    asvr("eval.tsv=" + bench, "eval.predictions=" + preds)
    for kit, f in (("lmms-eval", kits.lmms), ("VLMEvalKit", kits.vlm)):
        wrong, figures = [], {}
        for n, m in made.items():
            with open(os.devnull, "w") as quiet, kits.contextlib.redirect_stdout(quiet):
                theirs = f(n, m)
            ours = json.load(open(os.path.join(run, "eval", n, "scores.json")))[kit]
            d = differs(ours, theirs)
            wrong += ["%s %s" % (n, d)] * bool(d)
            figures = {k: v for k, v in theirs.items() if not isinstance(v, dict)}
        bad += bool(wrong)
        if wrong:
            print("FAIL kits: %s %s, %s: %d of %d tables of %d answers: %s" % (kit, versions[kit], name, len(wrong), TABLES, ROWS, "; ".join(wrong[:3])))
        else:
            print("ok   kits: %s %s, %s: %d tables of %d answers, all their scores equal (of the last: %s)" % (kit, versions[kit], name, TABLES, ROWS, ", ".join("%s %.4g" % x for x in list(figures.items())[:3])))

# ---- what we write is a log that lmms-eval answers from ----
golden = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../golden/kits/POPE.tsv")
small = ["text.model=%s/text.model" % TMP, "data.set=%s/shards/index.set" % TMP, "data.samples=48", "data.val_samples=14", "train.steps=4", "train.global_batch=8", "run.dir=" + run]
for verb, more in (("pack", []), ("train", []), ("eval", ["eval.tsv=" + golden])):
    r = subprocess.run([ASVR, verb, config] + [x for s in small + more for x in ("--set", s)], capture_output=True, text=True)
    if r.returncode:
        print("FAIL kits: asvr %s ended with %d: %s" % (verb, r.returncode, r.stderr.strip()))
        sys.exit(1)
import pandas
from lmms_eval.models.simple.from_log import FromLog
table = pandas.read_csv(os.path.join(run, "eval/POPE/prediction.tsv"), sep="\t", keep_default_na=False)
logs = os.path.join(run, "eval/POPE/from_log")
model = FromLog(logs=logs, model_name="asvr")
Asked = collections.namedtuple("Asked", "args")
said = model.generate_until([Asked(("", {}, None, i, "pope", "test")) for i in range(len(table))])
if said == list(table["prediction"]) and len(said) == 48:
    print("ok   kits: lmms-eval %s's model from_log answers %d questions of POPE from our log, as prediction.tsv has them" % (versions["lmms-eval"], len(said)))
else:
    print("FAIL kits: from_log answers otherwise than prediction.tsv")
    bad += 1

# Its whole evaluator over a task of ours: what POPE's own functions make of it is what eval.json says.
task = os.path.join(TMP, "task")
os.makedirs(task)
open(os.path.join(task, "utils.py"), "w").write("from lmms_eval.tasks.pope.utils import *\n\ndef nothing(doc):\n    return []\n")
with open(os.path.join(task, "docs.jsonl"), "w") as f:
    for d in table.to_dict("records"):
        f.write(json.dumps({"question_id": str(d["index"]), "question": d["question"], "answer": d["answer"].lower()}) + "\n")
metrics = ("accuracy", "precision", "recall", "f1_score", "yes_ratio")
open(os.path.join(task, "ours.yaml"), "w").write(
    "dataset_path: json\ndataset_kwargs: {data_files: {test: %s}}\ntask: pope\ntest_split: test\noutput_type: generate_until\n"
    "doc_to_visual: !function utils.nothing\ndoc_to_text: !function utils.pope_doc_to_text\ndoc_to_target: answer\nprocess_results: !function utils.pope_process_results\n"
    "lmms_eval_specific_kwargs: {default: {pre_prompt: '', post_prompt: ''}}\nmetric_list:\n" % os.path.join(task, "docs.jsonl")
    + "".join("  - {metric: pope_%s, aggregation: !function utils.pope_aggregate_%s, higher_is_better: true}\n" % (m, m) for m in metrics))
os.environ.update(HF_HOME=os.path.join(TMP, "hf"), HF_DATASETS_OFFLINE="1")
with open(os.devnull, "w") as quiet, kits.contextlib.redirect_stdout(quiet):
    from lmms_eval import evaluator
    from lmms_eval.tasks import TaskManager
    got = evaluator.simple_evaluate(model="from_log", model_args="logs=%s" % logs, tasks=["pope"], batch_size=1, task_manager=TaskManager(include_path=task, include_defaults=False), bootstrap_iters=0)
theirs = {k.split(",")[0]: v for k, v in got["results"]["pope"].items()}
ours = json.load(open(os.path.join(run, "eval/POPE/scores.json")))["lmms-eval"]
d = differs(theirs, ours)
if d:
    print("FAIL kits: lmms-eval's evaluator over from_log: %s" % d)
    bad += 1
else:
    print("ok   kits: lmms-eval %s's evaluator over our log: %s, as in scores.json" % (versions["lmms-eval"], ", ".join("%s %.4g" % x for x in ours.items())))
sys.exit(bad > 0)
