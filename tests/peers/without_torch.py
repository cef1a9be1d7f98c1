"""Imports mosaicml-streaming without torch and transformers: its reader takes a few names of them, no arithmetic.

Where torch is installed nothing is replaced.
"""
import importlib.util
import sys
import types

# What streaming/base asks for when it is imported.  Without torch.distributed it takes its node for the only one.
NAMES = {
    "torch": {"Tensor": type("Tensor", (), {})},
    "torch.distributed": {"is_available": lambda: False, "is_initialized": lambda: False},
    "torch.utils": {},
    "torch.utils.data": {"Dataset": type("Dataset", (), {}), "IterableDataset": type("IterableDataset", (), {}),
                         "DataLoader": type("DataLoader", (), {}), "get_worker_info": lambda: None},
    "transformers": {},
    "transformers.feature_extraction_utils": {"BatchFeature": type("BatchFeature", (), {})},
    "transformers.tokenization_utils_base": {"BatchEncoding": type("BatchEncoding", (), {})},
}


def stand_in():
    if importlib.util.find_spec("torch"):
        return
    for name, members in NAMES.items():
        module = sys.modules[name] = types.ModuleType(name)
        module.__dict__.update(members)
        parent, _, leaf = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], leaf, module)
    # The package's own __init__ imports data sets that need torchvision; what lies below it is imported as it is.
    found = importlib.util.find_spec("streaming")
    package = sys.modules["streaming"] = types.ModuleType("streaming")
    package.__path__ = found.submodule_search_locations
