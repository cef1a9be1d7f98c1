# Low-rank pairs: what learns is saved alone and stands on its base; the same bits for any grid, killed or not; another base is refused.
. "$(dirname "$0")/tools.inc"
says 0 0 pack "$config" "${small[@]}"
small+=(--set train.lr=1e-2)
says 0 0 train "$config" "${small[@]}" --set run.dir=base
pairs=(--set train.init=base --set train.lora_rank=4 --set train.steps=24 --set ckpt.every=6 --set ckpt.async=false)

# ---- what learns, and what is saved ----
says 0 1 train "$config" "${small[@]}" "${pairs[@]}" --set run.dir=one
grep -q 'starts from base/ckpt/step-00000006; fresh: lora;' out || { cat out; fail "where the weights are from"; }
[ $(($(size one/ckpt/step-00000024/tensors.h5) * 3)) -lt "$(size base/ckpt/step-00000006/tensors.h5)" ] || fail "the base is saved again"
says 0 0 verify one/ckpt/step-00000024
grep -q "rank 4; the rest is in $PWD/base/ckpt/step-00000006, which" out || { cat out; fail "where the rest is"; }
says 0 0 plan "$config" "${small[@]}" "${pairs[@]}"
grep -qE '^low-rank pairs +8,704 ' out && grep -qE '^decoder +180,544 .*frozen$' out || { cat out; fail "the plan of pairs"; }

says 0 0 plan "${config%/*}/llava15-7b/lora.cfg"                   # 32 blocks x 128 x (4 x 8192 + 3 x 15104)
grep -qE '^low-rank pairs +319,815,680 ' out && grep -qE '^  checkpoint copy +15.0 GiB' out || { cat out; fail "the plan of 7 B"; }

# ---- any grid, to the bit; killed ----
n=0
for grid in "2 parallel.tp=2 parallel.sequence=true" "4 parallel.tp=4 train.recompute=block" "4 parallel.tp=2 parallel.zero=2"; do
    read -r ranks_ keys <<<"$grid"
    sets=()
    for k in $keys; do sets+=(--set "$k"); done
    says 0 "$ranks_" train "$config" "${small[@]}" "${pairs[@]}" "${sets[@]}" --set run.dir="grid$((++n))"
    same_losses one "grid$n"
done
begin 2 train "$config" "${small[@]}" "${pairs[@]}" --set run.dir=killed --set parallel.tp=2
at_step 8 killed
kill -9 $(ranks)
ended any
says 0 1 train "$config" "${small[@]}" "${pairs[@]}" --set run.dir=killed
grep -q 'resumes from killed/ckpt/step-' out || { cat out; fail "it does not resume"; }
same_losses one killed

# ---- the base ----
use=("${small[@]}" --set run.dir=one)
says 0 0 eval "$config" "${use[@]}" --set train.lora_rank=4                 # by the place that the manifest has
mv one/eval.json eval.json
says 78 0 eval "$config" "${use[@]}"
blames "low-rank pairs for which the configuration has no place" "rank 4"
says 78 0 eval "$config" "${use[@]}" --set train.lora_rank=4 --set train.lora_alpha=3
blames "are not those of the configuration" "4 and 16" "lora_alpha = 3"
mv base away
says 74 2 train "$config" "${small[@]}" "${pairs[@]}" --set train.init= --set run.dir=one
blames "the base that this checkpoint stands on is not there" "$PWD/base/ckpt/step-00000006" "train.init"
says 0 0 eval "$config" "${use[@]}" --set train.lora_rank=4 --set train.init=away
cmp one/eval.json eval.json
mv away base
says 0 0 train "$config" "${small[@]}" --set run.dir=other --set run.seed=9
says 78 1 train "$config" "${small[@]}" "${pairs[@]}" --set run.dir=one --set train.init=other
blames "started from other weights"
cp -r base/ckpt/step-00000006 kept
cp other/ckpt/step-00000006/* base/ckpt/step-00000006
says 74 0 eval "$config" "${use[@]}" --set train.lora_rank=4
blames "is not there" "another, with the fingerprint"
cp kept/* base/ckpt/step-00000006
flip base/ckpt/step-00000006/tensors.h5 50000
says 65 0 eval "$config" "${use[@]}" --set train.lora_rank=4
blames "base/ckpt/step-00000006"
cp kept/* base/ckpt/step-00000006
says 78 0 train "$config" "${small[@]}" "${pairs[@]}" --set run.dir=x --set train.lora_targets=q_proj,nothing
blames '"nothing" is no matrix'
says 78 0 train "$config" "${small[@]}" "${pairs[@]}" --set run.dir=x --set train.trainable=projector,decoder
blames "names the decoder"
