# parallel.blocks: the same bits on any grid whose tp divides the blocks, in every stage and with every supervision, whatever the threads and ZeRO,
# and whether ranks keep shares of rows (s); and a run may go from one such grid to another.
# The long version: STEPS=50 GRIDS='1x1x2x0 1x2x2x0 1x4x1x0xs 2x2x1x0 2x2x2x1xs 4x1x1x1 1x8x1x0xs'.
. "$(dirname "$0")/tools.inc"

steps=${STEPS:-5}
small+=(--set train.steps=$steps --set train.micro_batch=2 --set model.vision.layers=3 --set model.codes.appearance_layer=-3
        --set model.text.width=32 --set model.text.layers=1 --set model.text.heads=8 --set model.text.ffn=64 --set model.text.max_len=24
        --set model.vision.width=64 --set model.vision.heads=8 --set model.vision.ffn=128 --set model.decoder.width=64 --set model.decoder.heads=8
        --set model.decoder.kv_heads=8 --set model.decoder.ffn=128 --set model.head.width=64 --set model.head.heads=8)

fingerprint() { "$ASVR" verify "$(ls -d "$1"/ckpt/step-* | tail -1)" | cut -d' ' -f2; }
alike() {                                       # A B: the same run, to the last bit
    same_losses $1 $2
    [ "$(fingerprint $1)" = "$(fingerprint $2)" ] || fail "the weights of $1 and $2 differ"
}
# grids NAME GRIDS KEY=VALUE...: replicas x tp x threads x ZeRO, and x s: parallel.sequence
grids() {
    local name=$1 list=${GRIDS:-$2} shares sets=("$config" "${small[@]}")
    shift 2
    for set; do sets+=(--set "$set"); done
    says 0 0 train "${sets[@]}" --set run.dir=$name
    [ "$(column loss_hex $name | cut -d' ' -f2 | sort -u | wc -l)" = $steps ] || fail "$name: the loss does not move"
    for grid in $list; do
        IFS=x read -r dp tp threads zero shares <<<"$grid"
        says 0 $((dp * tp)) train "${sets[@]}" --set run.dir=$name.$grid --set parallel.tp=$tp --set parallel.threads=$threads --set parallel.zero=$zero \
            --set parallel.sequence=$([ "$shares" ] && echo true || echo false)
        alike $name $name.$grid
    done
}

says 0 2 pack "$config" "${small[@]}" --set data.template=plain
grids contrast '1x2x2x0xs 2x2x1x2' train.stage=contrast
grids tokenizer '1x4x1x0xs 2x2x1x2' train.stage=tokenizer train.init=contrast
grids own 1x4x2x1xs train.stage=tokenizer train.init=contrast model.codes.tower=own model.codes.layer=-2
small+=(--set train.init=tokenizer)
grids computed 1x4x1x0 train.stage=pretrain                          # codes on the way
says 0 2 pack "$config" "${small[@]}" --set data.codes=tokenizer
grids pretrain '1x2x1x0 4x1x1x1' train.stage=pretrain
grids semantic '1x2x2x0 1x4x1x1xs 2x2x1x2xs 4x1x1x0'
for how in none appearance both denoising; do
    grids $how 1x4x1x0xs train.supervision=$how
done
grids discrete 1x4x1x0 model.vision.input=discrete
grids tied 1x4x1x0 model.head.tied=true train.soft_targets=0.5 model.decoder.tied=true
grids muon '1x4x1x0 2x2x1x2xs' train.optimizer=muon
grids shared_kv '1x8x1x0xs 1x4x1x0' model.decoder.kv_heads=2 model.decoder.qk_norm=true train.supervision=none
grids block '1x4x2x1 1x4x1x0xs' train.recompute=block train.trainable=vision,projector,decoder,head

# ---- 2 x 2, 4 x 1, 1 x 4 over two preemptions ----
set -- "$config" "${small[@]}" --set train.steps=30
says 0 0 train "$@" --set run.dir=still
begin 4 train "$@" --set run.dir=moves --set parallel.tp=2 --set parallel.zero=2 --set parallel.sequence=true
at_step 6 moves
kill -USR1 $job
ended 75
begin 4 train "$@" --set run.dir=moves
at_step 15 moves
kill -USR1 $job
ended 75
says 0 4 train "$@" --set run.dir=moves --set parallel.tp=4
! grep -q tolerance out || fail "it speaks of a tolerance"
alike still moves
[ "$(column dp moves | cut -d' ' -f2 | uniq | tr '\n' ' ')" = '2 4 1 ' ] || fail "not 2, 4 and 1 replicas"

# ---- refused in words; said where bits change ----
says 78 0 train "$@" --set run.dir=no --set parallel.blocks=6
blames 'parallel.blocks = 6 are joined in pairs'
[ ! -e no ] || fail "a refused run left something behind"
begin 4 train "$@" --set run.dir=few --set parallel.blocks=2 --set parallel.tp=4          # 2 blocks are none for 4 ranks
at_step 2 few
kill -USR1 $job
ended 75
grep -q 'sums of what tp splits go by ranks' out || fail "it does not say that bits are those of tp = 4"
says 0 0 train "$@" --set run.dir=few --set parallel.blocks=2
grep -q 'blocks of what tp splits: 0 -> 2: losses go on within a tolerance' out || { cat out; fail "it does not speak of a tolerance"; }
