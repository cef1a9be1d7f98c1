"""tests/golden/kits: tables in the layout of each benchmark, answers to them, and the scores that lmms-eval and VLMEvalKit compute of those.

    make peers NAMES=kits && TMP=/tmp build/peers/kits/bin/python tests/ref/kits.py     writes tests/golden/kits/{NAME.tsv, answers/NAME.tsv, NAME.scores}

NAME.scores: a figure a line, "lmms-eval.pope_accuracy 0.5"; what a kit calls nan is left out.
"""
import contextlib, math, os, sys
here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "../peers"))
import kits

out = os.path.join(here, "../golden/kits")
os.makedirs(os.path.join(out, "answers"), exist_ok=True)


def flat(figures, path):
    for k, v in figures.items():
        if isinstance(v, dict):
            yield from flat(v, path + k + ".")
        elif not math.isnan(v):
            yield "%s%s %.12g" % (path, k, v)


for name in kits.KINDS:
    made = kits.rows(name, 56 if name == "MME" else 48, 1000)
    kits.write_tables(out, os.path.join(out, "answers"), name, made)
    with open(os.devnull, "w") as quiet, contextlib.redirect_stdout(quiet):
        lines = list(flat(kits.lmms(name, made), "lmms-eval.")) + list(flat(kits.vlm(name, made), "VLMEvalKit."))
    open(os.path.join(out, name + ".scores"), "w").write("\n".join(sorted(lines)) + "\n")
