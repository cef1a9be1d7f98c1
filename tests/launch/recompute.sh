# train.recompute: what backward computes again has the bits of what it would have kept, in every stage that has blocks which learn, on one rank
# and on two; so a run may go on with another value of it.  The tape is shorter, by what `asvr plan` says.
. "$(dirname "$0")/tools.inc"

small+=(--set train.steps=6 --set train.micro_batch=4 --set model.vision.layers=3 --set model.decoder.layers=3)

alike() {                                       # NAME RANKS KEY=VALUE...
    local name=$1 ranks=$2 sets=("$config" "${small[@]}")
    for set in "${@:3}"; do sets+=(--set "$set"); done
    says 0 "$ranks" train "${sets[@]}" --set run.dir=$name
    for what in attention block; do
        says 0 "$ranks" train "${sets[@]}" --set run.dir=$name.$what --set train.recompute=$what
        same_losses $name $name.$what
        [ "$("$ASVR" verify $name/ckpt/step-00000006 | cut -d' ' -f2)" = "$("$ASVR" verify $name.$what/ckpt/step-00000006 | cut -d' ' -f2)" ] ||
            fail "the weights of $name and $name.$what differ"
    done
    [ "$(column loss_hex $name | cut -d' ' -f2 | sort -u | wc -l)" = 6 ] || fail "$name: the loss does not move"
}

says 0 2 pack "$config" "${small[@]}" --set data.template=plain
alike contrast 0 train.stage=contrast
alike tokenizer 0 train.stage=tokenizer train.init=contrast
alike own 0 train.stage=tokenizer train.init=contrast model.codes.tower=own model.codes.layer=-2
alike pretrain 2 train.stage=pretrain train.supervision=denoising
says 0 2 pack "$config" "${small[@]}" --set data.codes=tokenizer
all='train.trainable=vision,projector,decoder,head'
small+=(--set train.init=tokenizer)
alike instruct 0 $all
alike tensor 2 $all parallel.tp=2 model.decoder.qk_norm=true

# ---- another value is the same run ----
begin 0 train "$config" "${small[@]}" --set "$all" --set run.dir=other --set train.recompute=block
at_step 2 other
kill -USR1 $job
ended 75
says 0 2 train "$config" "${small[@]}" --set "$all" --set run.dir=other
same_losses instruct other

# ---- the tape ----
tape() { "$ASVR" plan "$config" "${small[@]}" --set model.decoder.layers=8 --set train.recompute=$1 | sed -n 's/^  tape *\([0-9.]*\) MiB .*/\1/p'; }
awk -v a="$(tape none)" -v b="$(tape attention)" -v c="$(tape block)" 'BEGIN { print a, b, c; exit !(a > b && b > c && c > 0) }' || fail "the tape does not shrink"
