# Every supervision and every way to vary it: the same bits on 1 rank x 4 micro-batches and on 2 x 2, the same when it was
# stopped and taken up, and fit for evaluation and chat.
. "$(dirname "$0")/tools.inc"

small+=(--set train.steps=4 --set model.vision.layers=3 --set model.codes.appearance_layer=-3 --set train.micro_batch=2)
tokenizer=("$config" "${small[@]}" --set train.stage=tokenizer)
says 0 2 pack "$config" "${small[@]}"
says 0 2 train "${tokenizer[@]}" --set run.dir=tokenizer
says 0 0 eval "${tokenizer[@]}" --set run.dir=tokenizer
grep -q '^appearance: energy left after depth 2' out || { cat out; fail "no energies of the appearance codes"; }
says 0 2 pack "$config" "${small[@]}" --set data.codes=tokenizer
"$ASVR" verify shards | head -1 >codes
says 0 0 pack "$config" "${small[@]}" --set data.codes=tokenizer
"$ASVR" verify shards | head -1 | cmp - codes || fail "codes depend on the number of ranks"

depths() { sed -n 's/.*"loss_visual_depth": \[\([^]]*\)\].*/\1/p' "$1/run.jsonl" | tail -n 1 | tr ',' '\n' | grep -c '[0-9]' || true; }

variant() {                                     # NAME DEPTHS KEY=VALUE...
    local name=$1 depths=$2
    shift 2
    local sets=("$config" "${small[@]}" --set train.init=tokenizer)
    for set; do sets+=(--set "$set"); done
    says 0 0 train "${sets[@]}" --set run.dir=$name.one
    says 0 2 train "${sets[@]}" --set run.dir=$name
    same_losses $name $name.one
    [ "$(column loss_hex $name | cut -d' ' -f2 | sort -u | wc -l)" = 4 ] || fail "$name: the loss does not move"
    [ "$(depths $name)" = $depths ] || { tail -n 1 $name/run.jsonl; fail "$name: $(depths $name) visual losses, not $depths"; }
    says 0 2 eval "${sets[@]}" --set run.dir=$name
}

variant none 0 train.supervision=none
variant semantic 2 train.supervision=semantic
variant appearance 2 train.supervision=appearance
variant both 4 train.supervision=both
variant denoising 1 train.supervision=denoising
variant discrete 2 model.vision.input=discrete
variant shifted 2 train.visual_shift=1
variant share 2 train.visual_share=0.3
variant tied 2 model.head.tied=true
variant soft 2 train.soft_targets=0.5
# Each is another loss: no key is without effect.
for run in none semantic appearance both denoising discrete shifted share tied soft; do column loss_hex $run | tail -n 1; done |
    sort | uniq -d | grep . && fail "two variants have the same loss"

# What is drawn in a step is drawn again when the run is taken up there.
for name in denoising share; do
    sets=("$config" "${small[@]}" --set train.init=tokenizer --set run.dir=$name.again --set ckpt.every=2 --set ckpt.keep=9)
    [ $name = share ] && sets+=(--set train.visual_share=0.3) || sets+=(--set train.supervision=denoising)
    says 0 2 train "${sets[@]}"
    rm -r $name.again/ckpt/step-00000004
    says 0 2 train "${sets[@]}"
    same_losses $name $name.again
done

# ---- each part from the first checkpoint that has it ----
says 0 0 train "$config" "${small[@]}" --set run.dir=two --set "train.init=, tokenizer, semantic,"
grep -q '^starts from tokenizer/ckpt/step-00000004, semantic/ckpt/step-00000004; steps' out || { cat out; fail "not every part was found"; }
says 0 0 train "$config" "${small[@]}" --set run.dir=first --set train.init=semantic
same_losses two first                            # the tower and the codes are the same in both
says 74 0 train "$config" "${small[@]}" --set run.dir=no --set "train.init=tokenizer,nowhere"
blames 'there is no such folder' nowhere

# ---- pictures of twice the tower's size, seen at two scales; the codes are of the small picture ----
two=("$config" "${small[@]}" --set model.vision.scales=2 --set train.init=tokenizer)
says 0 2 pack "${two[@]}" --set data.codes=tokenizer
says 65 0 train "$config" "${small[@]}" --set run.dir=scales.not
blames 'packed for another vision tower'
variant scales 2 model.vision.scales=2
cp -r scales scales.given
says 0 2 pack "${two[@]}"
rm -r scales scales.one
variant scales 2 model.vision.scales=2           # codes made in each step: those that were packed
same_losses scales scales.given
says 0 0 chat "${two[@]}" --set run.dir=scales --set chat.image=scales/eval.png --set chat.question="what is this?"

# ---- what cannot be ----
says 78 0 train "$config" "${small[@]}" --set run.dir=no --set model.codes.appearance_layer=0 --set train.supervision=both
blames 'model.codes.appearance_layer is 0'
says 78 0 train "$config" "${small[@]}" --set run.dir=no --set model.vision.scales=2 --set model.vision.input=discrete
blames 'scales = 1'
says 78 0 train "$config" "${small[@]}" --set run.dir=no --set train.trainable=projector,vision --set model.vision.input=discrete
blames 'cannot learn' discrete
says 65 0 train "$config" "${small[@]}" --set run.dir=no --set train.supervision=appearance
blames 'another vision tower'
says 0 0 pack "$config" "${small[@]}" --set model.codes.appearance_layer=0 --set data.codes=tokenizer
says 65 0 train "$config" "${small[@]}" --set run.dir=no --set train.init=tokenizer --set train.supervision=appearance
blames 'no appearance codes'
[ ! -e no/ckpt ] || fail "something was left behind"
