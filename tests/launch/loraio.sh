# Low-rank pairs out and in: merged they answer as beside the weights, and so they do from a folder of peft's.
. "$(dirname "$0")/tools.inc"
says 0 0 pack "$config" "${small[@]}"
small+=(--set model.decoder.vocab=800 --set train.lr=1e-2)      # rows that are no piece: an export has as many
says 0 0 train "$config" "${small[@]}" --set run.dir=base
says 0 0 train "$config" "${small[@]}" --set train.init=base --set train.lora_rank=4 --set train.steps=24 --set run.dir=one
says 0 0 eval "$config" "${small[@]}" --set train.lora_rank=4 --set run.dir=one
mv one/eval.json eval.json
loss() { sed -n 's/.*"loss_text": \([^,]*\),.*/\1/p' "$1"; }
near() { awk -v a="$(loss "$1")" -v b="$(loss "$2")" 'BEGIN { d = a - b; exit !(a > 0 && d < 1e-5 && d > -1e-5) }' || fail "losses of $1 and $2: $(loss "$1") and $(loss "$2")"; }
use=("${small[@]}" --set train.lora_rank=4)
says 0 0 export "$config" "${use[@]}" --set export.from=one --set export.to=merged
grep -q '^14 low-rank pairs are merged into the weights$' out || { cat out; fail "what was merged"; }
says 0 3 export "$config" "${use[@]}" --set export.from=one --set export.to=merged3
cmp merged/model.safetensors merged3/model.safetensors
says 0 2 import "$config" "${small[@]}" --set import.from=merged --set import.to=whole
says 0 0 eval "$config" "${small[@]}" --set run.dir=whole
near whole/eval.json eval.json
says 0 0 export "$config" "${use[@]}" --set export.from=one --set export.to=adapter --set export.adapter=true
says 0 2 import "$config" "${use[@]}" --set train.init=base --set import.from=adapter --set import.to=peft
says 0 0 eval "$config" "${use[@]}" --set run.dir=peft
[ "$(loss peft/eval.json)" = "$(loss eval.json)" ] || fail "an adapter's way out and in changes the loss"
says 0 0 train "$config" "${use[@]}" --set train.init=peft --set run.dir=further      # pairs upon pairs' base
says 0 0 eval "$config" "${use[@]}" --set run.dir=further
says 0 0 train "$config" "${use[@]}" --set train.init=base,peft --set run.dir=both      # a projector of the base's, its own pairs
says 0 0 train "$config" "${small[@]}" --set run.dir=other --set run.seed=9
says 78 2 train "$config" "${use[@]}" --set train.init=other,peft --set run.dir=x
blames "of another base"
rm -r x
says 0 0 train "$config" "${use[@]}" --set train.init=whole --set run.dir=upon        # what was imported, with its files
says 0 2 export "$config" "${use[@]}" --set export.from=upon --set export.base=whole --set export.to=upon-hf
says 0 0 export "$config" "${use[@]}" --set export.from=upon --set export.to=upon-own
cmp upon-hf/model.safetensors upon-own/model.safetensors
says 78 0 import "$config" "${small[@]}" --set train.lora_rank=8 --set train.init=base --set import.from=adapter --set import.to=x
blames "differs from adapter_config.json" "train.lora_rank = 4"
says 78 0 import "$config" "${use[@]}" --set import.from=adapter --set import.to=x
blames "train.init" "decoder.0.attn.wq"
says 78 0 import "$config" "${use[@]}" --set train.init=base --set train.lora_targets=q_proj --set import.from=adapter --set import.to=x
blames "no place for" "train.lora_targets"
sed -i 's/"use_dora": false/"use_dora": true/' adapter/adapter_config.json
says 65 2 import "$config" "${use[@]}" --set train.init=base --set import.from=adapter --set import.to=x
blames "use_dora"
[ ! -e x ] || fail "something was written"
