"""The golden numbers of tests/ref/kinds.py, computed again: what the library says today is what the tests hold."""
import os
import re
import subprocess
import sys

import transformers

fresh = os.path.join(os.environ["TMP"], "kinds_golden.h")
subprocess.run([sys.executable, "tests/ref/kinds.py", fresh], check=True, stderr=subprocess.DEVNULL)


def numbers(path):
    text = open(path).read().split("*/", 1)[1]
    return re.sub(r"-?\b\d+\.?\d*(e[-+]\d+)?\b", "#", text), [float(x[0]) for x in re.findall(r"(?<![\w.])(-?\d+\.?\d*(e[-+]\d+)?)\b", text)]


(form, was), (is_form, now) = numbers("tests/golden/kinds_golden.h"), numbers(fresh)
worst = max(abs(a - b) / max(abs(a), 1e-3) for a, b in zip(was, now)) if len(was) == len(now) else float("inf")
good = form == is_form and worst < 1e-5
print("%s transformers %s: %d golden numbers of six models of other kinds, largest relative difference %.1e"
      % ("ok  " if good else "FAIL", transformers.__version__, len(now), worst))
sys.exit(not good)
