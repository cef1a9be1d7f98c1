# A new user's way by the commands of the README ("Your own pictures"): JSON and pictures, SmolLM2-135M as the decoder, the tower of `make demo`
# where that has been made, else one of random weights; pack, train, chat, export; and transformers answers the same.  STEPS=n: train longer.
set -eu
here=$(cd "$(dirname "$0")/../.." && pwd)
cd "$TMP"
stamps=/usr/share/tuxpaint/stamps
mkdir data runs pictures
"$NEW" - "$stamps" <<'PY'
import glob, json, os, sys
import numpy as np
from PIL import Image
found = sorted(t for t in glob.glob(sys.argv[1] + "/**/*.txt", recursive=True) if os.path.exists(t[:-4] + ".png"))[:160]
talks = []
def record(picture, answer):
    talks.append({"id": len(talks), "image": picture, "conversations": [{"from": "human", "value": "<image>\nWhat is this?"}, {"from": "gpt", "value": answer}]})
for i, t in enumerate(found):                   # other people's pictures and captions; on white, for transformers does not look at alpha
    cut = Image.open(t[:-4] + ".png").convert("RGBA")
    Image.alpha_composite(Image.new("RGBA", cut.size, "white"), cut).convert("RGB").save("pictures/%d.png" % i)
    record("%d.png" % i, open(t, encoding="utf-8", errors="replace").readline().strip())
for i in range(0 if found else 160):            # a machine without them
    colour = [("red", (220, 30, 30)), ("green", (20, 160, 40)), ("blue", (40, 60, 220))][i % 3]
    Image.fromarray(np.full((40 + i, 60, 3), colour[1], np.uint8)).save("pictures/%d.png" % i)
    record("%d.png" % i, "A %s picture." % colour[0])
json.dump(talks, open("mine.json", "w"), ensure_ascii=False)
open("paths", "w").write("".join(os.path.abspath("pictures/%d.png" % i) + "\n" for i in range(0, 160, 16)))
PY
"$NEW" "$here/tests/peers/gguf2hf.py" data/smollm2 >log 2>&1 || { cat log; exit 1; }
cfg=$here/configs/mine.cfg tower="random weights" keys=(train.steps="${STEPS:-6}")
if [ -e "$here/runs/scenes/tokenizer/ckpt" ]; then
    ln -s "$here/runs/scenes" runs/scenes
    tower="the tower of make demo"
else
    keys+=(train.init=runs/smollm2)
fi
sets=(); for key in "${keys[@]}"; do sets+=(--set "$key"); done

begin=$SECONDS
{ "$ASVR" import "$cfg" --set import.from=data/smollm2 --set import.to=runs/smollm2 &&
  mpirun -n 2 "$ASVR" pack "$cfg" &&
  mpirun -n 2 "$ASVR" train "$cfg" "${sets[@]}" &&
  "$ASVR" chat "$cfg" "${sets[@]}" --set chat.image=pictures/0.png --set chat.question="What is this?" >answer && [ -s answer ] &&
  "$ASVR" export "$cfg" "${sets[@]}" --set export.from=runs/mine --set export.to=mine-hf
} >said 2>&1 || { echo "FAIL a new user's way: $(grep -am3 -A3 'error' said | tr '\n' ' ')"; exit 1; }
echo "ok   a new user's way ($tower): import, pack, train ${STEPS:-6} steps of SmolLM2-135M, chat, export: 5 commands, $((SECONDS - begin)) s"

"$ANSWERS" ours "$cfg" "What is this?" paths 32 "${keys[@]}" >said 2>&1 || { echo "FAIL asvr's own answers: $(grep -am1 'error' said)"; exit 1; }
while read -r picture; do
    "$ASVR" chat "$cfg" "${sets[@]}" --set chat.image="$picture" --set chat.question="What is this?" --set chat.max_new=32 2>>said | sed -z 's/\n$//; s/\n/\\n/g'
    echo
done <paths >chat
"$NEW" "$here/tests/peers/export_peer.py" "SmolLM2 that sees" mine-hf ours "What is this?" paths chat
