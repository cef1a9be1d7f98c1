"""Extra-P itself reads what `asvr scaling` wrote and models each call path (docs/TESTING.md, "Peers").

    python3 -m venv build/peers-extrap && build/peers-extrap/bin/pip install extrap==4.2.5
    build/peers-extrap/bin/python tests/peers/extrapload.py runs/bench/scaling/scaling.jsonl
"""
import sys
import warnings

from extrap.fileio.file_reader.jsonlines_file_reader import read_jsonlines_file
from extrap.modelers.model_generator import ModelGenerator

warnings.simplefilter("ignore")         # that five points are its advice
experiment = read_jsonlines_file(sys.argv[1])
generator = ModelGenerator(experiment)
generator.model_all()
names = [p.name for p in experiment.parameters]
print(f"{len(experiment.coordinates)} points of {', '.join(names)}")
for (callpath, metric), model in generator.models.items():
    function = model.hypothesis.function.to_string(*experiment.parameters)
    print(f"{callpath.name:24} {metric.name}  {function}  SMAPE {model.hypothesis.SMAPE:.1f} %")
wanted = {"step", "forward", "backward", "reduce", "optimizer"}
found = {callpath.name.split("->")[-1] for callpath, _ in generator.models}
assert wanted <= found, f"no model of {wanted - found}"
