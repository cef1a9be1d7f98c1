"""Scores of `asvr eval` beside those of lmms-eval and of VLMEvalKit: their own functions, the same answers; and lmms-eval's model from_log reads what we write."""
import importlib.metadata, json, math, os, random, subprocess, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import kits

TMP, ASVR = os.environ["TMP"], os.environ["ASVR"]
TABLES, ROWS = int(os.environ.get("TABLES", 25)), int(os.environ.get("ROWS", 84))
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
sys.exit(bad > 0)
