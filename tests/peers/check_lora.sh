# Low-rank pairs and peft: pairs that asvr trained, opened by peft upon the exported base; pairs that peft made, imported.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
config=$here/../../configs/tiny.cfg
cd "$TMP"
. "$here/pictures.inc"
question="What is left of it?"
first=(text.model=text.model data.set=set/index.set data.samples=96 data.val_samples=14 data.shard_samples=96 data.fit=stretch parallel.bind=none
       parallel.threads=1 ckpt.every=0 model.decoder.kv_heads=2)
with() { local set; keys=(); for set in "${first[@]}" "$@"; do keys+=(--set "$set"); done; }
bad=0
# tried NAME: what is said is shown if the last command failed
tried() { cat said; echo "FAIL $1: $(grep -m1 error: said)"; bad=1; }
with run.dir=base train.steps=12
{ "$ASVR" pack "$config" "${keys[@]}" && "$ASVR" train "$config" "${keys[@]}" &&
  "$ASVR" export "$config" "${keys[@]}" --set export.from=base --set export.to=base-hf; } >said 2>&1 || { tried base; exit 1; }

# trained NAME KEYS...
trained() {
    local name=$1 sets=(run.dir="$1" train.init=base train.steps=24 train.lr=1e-2 "${@:2}")
    with "${sets[@]}"
    { mpirun -n 2 "$ASVR" train "$config" "${keys[@]}" --set parallel.tp=2 &&
      "$ASVR" export "$config" "${keys[@]}" --set export.from="$name" --set export.to="$name-adapter" --set export.adapter=true &&
      "$ASVR" export "$config" "${keys[@]}" --set export.from="$name" --set export.to="$name-merged" &&
      "$ANSWERS" "$name-ours" "$config" "$question" pictures 32 "${first[@]}" "${sets[@]}"; } >said 2>&1 || { tried "$name"; return 0; }
    "$NEW" "$here/lora_peer.py" check "trained, $name" base-hf "$name-adapter" "$name-merged" "$name-ours" 2>trouble || { bad=1; tail -n 4 trouble; }
}
trained all         train.lora_rank=4
trained "two kinds" train.lora_rank=8 train.lora_alpha=8 train.lora_targets=q_proj,v_proj
trained "one layer" train.lora_rank=2 "train.lora_targets=decoder.1.*" train.trainable=head

# made NAME RANK ALPHA TARGETS KEYS...
made() {
    local name=$1 sets=(run.dir="$1" train.init=base train.lora_rank="$2" train.lora_alpha="$3" "${@:5}")
    with "${sets[@]}"
    { "$NEW" "$here/lora_peer.py" make base-hf "$name-adapter" "$2" "$3" "$4" &&
      mpirun -n 2 "$ASVR" import "$config" "${keys[@]}" --set import.from="$name-adapter" --set import.to="$name" &&
      "$ANSWERS" "$name-ours" "$config" "$question" pictures 32 "${first[@]}" "${sets[@]}" &&
      "$ASVR" export "$config" "${keys[@]}" --set export.from="$name" --set export.to="$name-back" --set export.adapter=true &&
      cmp "$name-adapter/adapter_model.safetensors" "$name-back/adapter_model.safetensors"; } >said 2>&1 || { tried "$name"; return 0; }
    "$NEW" "$here/lora_peer.py" check "made by peft, back byte by byte, $name" base-hf "$name-adapter" - "$name-ours" 2>trouble || { bad=1; tail -n 4 trouble; }
}
made everywhere 4 16 '.*language_model.*(q|k|v|o|gate|up|down)_proj'
made attention  8 4  '.*language_model.*(q|v)_proj' train.lora_targets=q_proj,v_proj
exit $bad
