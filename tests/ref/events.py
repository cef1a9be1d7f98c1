#!/usr/bin/env python3
"""Writes tests/golden/event_record.h: the record of one step as TensorBoard's own protobuf messages and record writer make it.
Run from the root with tensorboard 2.21 (PyPI); the output is committed."""
import io

import tensorboard.version
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.summary.writer.record_writer import RecordWriter

plain = [("loss", 1 / 3), ("loss/text", 0.25), ("loss/visual", 2), ("grad_norm", 1.5), ("lr", 1e-3), ("skipped", 4),
         ("rate/samples_per_s", 123.4), ("rate/tokens_per_s", 1000), ("rate/flops_share", 0.875),
         ("time/step", 0.5), ("time/data", 1), ("time/forward", 2), ("time/backward", 3), ("time/reduce", 4), ("time/optim", 5),
         ("time/ckpt", 6), ("memory/rss_mb", 7), ("loss/visual_depth_0", 1), ("loss/visual_depth_1", -2),
         ("codes/usage_0", 0.5), ("codes/perplexity_0", 6.5), ("codes/restarts", 3)]
event = Event(wall_time=1.7e9 + 0.125, step=300)
for tag, x in plain:
    event.summary.value.add(tag=tag, simple_value=x)


class Kept(io.BytesIO):
    def close(self):
        pass


file = Kept()
writer = RecordWriter(file)
writer.write(event.SerializeToString(deterministic=True))
record = file.getvalue()
with open("tests/golden/event_record.h", "w") as out:
    out.write("/* Written by tests/ref/events.py with tensorboard %s. */\n" % tensorboard.version.VERSION)
    out.write("static const uint8_t golden_event[] = {\n")
    for i in range(0, len(record), 24):
        out.write("    " + " ".join("0x%02x," % b for b in record[i:i + 24]) + "\n")
    out.write("};\n")
