# LLaVA folders that transformers wrote, newest and 4.4x, random weights: import and export again give the same bytes, and asvr computes what
# transformers does.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
config=$here/../../configs/tiny.cfg
cd "$TMP"
. "$here/pictures.inc"
question="What is left of it?"
first=(text.model=text.model data.set=set/index.set data.samples=96 data.val_samples=14 data.shard_samples=96 parallel.bind=none parallel.threads=1)
with() { local set; keys=(); for set in "${first[@]}" "$@"; do keys+=(--set "$set"); done; }
with run.dir=tiny train.steps=1 ckpt.every=0 data.fit=stretch
{ "$ASVR" pack "$config" "${keys[@]}" && "$ASVR" train "$config" "${keys[@]}" &&
  "$ASVR" export "$config" "${keys[@]}" --set export.from=tiny --set export.to=tokens; } >said 2>&1 || { cat said; exit 1; }
bad=0
folder() {                                      # PYTHON WHICH KIND KEYS...
    local python=$1 which=$2 kind=$3 name="$2 $3" sets
    shift 3
    sets=("${first[@]}" model.decoder.vocab=832 model.vision.select_layer=-2 data.fit=stretch train.supervision=none "run.dir=run-$which-$kind" "$@")
    with "${sets[@]:${#first[@]}}"
    "$python" "$here/import_make.py" tokens "$which" "$kind" >said 2>&1 || { cat said; echo "FAIL $name: transformers wrote no folder"; bad=1; return 0; }
    if mpirun -n 2 "$ASVR" import "$config" "${keys[@]}" --set import.from="$which/$kind" --set import.to="run-$which-$kind" >said 2>&1 &&
       mpirun -n 2 "$ASVR" export "$config" "${keys[@]}" --set export.from="run-$which-$kind" --set export.to="back-$which-$kind" >>said 2>&1 &&
       diff -rq "$which/$kind" "back-$which-$kind" >>said; then
        echo "ok   $name: import and export again, $(ls "$which/$kind" | wc -l) files byte by byte: $(ls "$which/$kind" | grep -c safetensors$) of weights, $(du -sb "$which/$kind" | cut -f1) bytes in all"
    else
        cat said; echo "FAIL $name: import and export again: $(grep -m1 -E 'error:|differ|Only' said)"; bad=1; return 0
    fi
    "$ANSWERS" "ours-$which-$kind" "$config" "$question" pictures 32 "${sets[@]}" >said 2>&1 || { cat said; echo "FAIL $name: asvr's own answers: $(grep -m1 error: said)"; bad=1; return 0; }
    "$python" "$here/export_peer.py" "import of $kind" "back-$which-$kind" "ours-$which-$kind" "$question" pictures 2>trouble || { bad=1; tail -n 4 trouble; }
}
clip=(model.vision.kind=clip)
qwen=(model.decoder.qkv_bias=true model.decoder.kv_heads=2 model.decoder.eps=1e-6)
mistral=(model.decoder.kv_heads=2)
smollm=(model.decoder.kv_heads=2 model.decoder.rope_theta=100000 model.decoder.tied=true)
for which in new old; do
    python=$NEW; [ $which = new ] || python=$OLD
    folder "$python" $which llama-siglip
    folder "$python" $which llama-clip-sharded "${clip[@]}"
    folder "$python" $which mistral-siglip-sharded "${mistral[@]}"
    folder "$python" $which qwen2-clip "${qwen[@]}" "${clip[@]}"
    folder "$python" $which smollm2-siglip "${smollm[@]}"
done
exit $bad
