# What `asvr plan` counts: the published models to the last parameter, and a run's own memory and flops.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/tools.inc"
configs=$(dirname "$config")

# parameters LABEL: the exact number in LABEL's line of the plan, without commas
parameters() { sed -n "s/^$1  *\([0-9,]*\) .*/\1/p" out | tr -d ,; }
commas() { echo "$1" | sed -E ':a; s/^([0-9]+)([0-9]{3})/\1,\2/; ta'; }
# counts LABEL NUMBER
counts() { [ "$(parameters "$1")" = "$2" ] || { cat out; fail "$1: $(parameters "$1") parameters, published are $2"; }; }

# ---- the backbones, as published ----
while read -r name decoder blocks projector head head16; do
    says 0 0 plan "$configs/$name/instruct.cfg"
    counts decoder "$decoder"
    grep -q "^  $blocks blocks" out || fail "$name: not $blocks blocks"
    counts projector "$projector"
    counts "visual head" "$head"
    counts "  vectors" 301989888                                              # 8 codebooks of 32768 vectors of 1152
    counts "  26 blocks" $((26 * 15239504))                                   # of 27: features of the last but one
    grep -q 'has 428,225,600 parameters' out || { cat out; fail "$name: the whole vision model"; }
    counts "  that learn" $((decoder + projector + head))
    # The released head has biases that it never uses: 3 layers of 2 x 2048 and 2048.
    grep -q "counts $(commas $((head + 18432))): 18,432 biases more" out || { cat out; fail "$name: the released head"; }
    says 0 0 plan "$configs/$name/instruct.cfg" --set model.codes.size=16384
    counts "visual head" "$head16"
    counts "  vectors" 150994944
    says 0 0 plan "$configs/$name/pretrain.cfg"
    counts decoder "$decoder"
    counts "  that learn" $((projector + head))
done <<'T'
llava15-7b   6738415616 32 21504000 1005105152 736538624
llava15-13b 13015864320 40 32122880 1007202304 738635776
mistral-7b   7241732096 32 21504000 1005105152 736538624
qwen2-7b     7615616512 28 16980992 1004056576 735490048
T

# SigLIP-SO400M whole: both towers, the text tower with 32000 pieces, scale and bias.
says 0 0 plan "$configs/llava15-7b/pretrain.cfg" --set train.stage=contrast --set train.trainable=
counts "text tower" 449734896
counts together 877960498
[ $(($(parameters "vision tower") + $(parameters "attention pooling"))) = 428225600 ] || { cat out; fail "the vision model"; }

# Large sizes do not overflow; codes of both kinds count.
says 0 0 plan "$configs/llava15-7b/instruct.cfg" --set model.codes.size=65536 --set model.codes.appearance_layer=-22 \
    --set train.supervision=both
counts "codebooks, appearance" "$(parameters codebooks)"
counts "visual head, appearance" "$(parameters "visual head")"
says 0 0 plan "$configs/llava15-13b/instruct.cfg" --set train.micro_batch=4096
grep -qE 'together +[0-9.]+ TiB' out || { cat out; fail "4096 sequences of 13B do not take terabytes"; }
says 78 0 plan "$configs/tiny.cfg" --set train.trainable=decodr
blames train.trainable decodr

# Nothing is allocated: 143 GiB are planned in an address space of 4.  Several ranks speak once.
says 0 0 plan "$configs/llava15-7b/instruct.cfg" --set train.micro_batch=1
cp out plenty
(ulimit -v 4194304; "$ASVR" plan "$configs/llava15-7b/instruct.cfg" --set train.micro_batch=1) >out 2>&1 ||
    { cat out; fail "a plan takes memory"; }
diff plenty out || fail "a plan depends on the memory there is"
says 0 2 plan "$config"
[ "$(grep -c '^decoder ' out)" = 1 ] || fail "each rank prints the plan"

# ---- what a run then takes ----
# The plan's sequences are as long as max_len: here the data's are longer, so that the run's are, too.  The wide decoder makes
# every class of memory several MiB, which is more than the figures are rounded by.
small+=(--set model.decoder.max_len=96 --set model.decoder.ffn=4096 --set run.dir=run --set train.steps=1)
for stage in instruct pretrain tokenizer; do
    says 0 0 plan "$config" "${small[@]}" --set train.stage=$stage
    sed -n 's/^  together .* \([0-9.]*\) MiB$/\1/p' out >planned
    [ -s shards/val-00000.h5 ] || says 0 0 pack "$config" "${small[@]}"
    says 0 0 train "$config" "${small[@]}" --set train.stage=$stage --set run.dir=run-$stage
    # Of the run's figure only the reduction's book-keeping is not planned: some bytes a parameter and bucket.
    sed -n 's/.*; \([0-9]*\) MiB each.*/\1/p' out | paste planned - | awk '
        { n++; bad += $1 <= 0 || $2 - $1 > 1 || $1 - $2 > 1 } END { exit n != 1 || bad }' ||
        { cat planned out; fail "$stage: planned and taken MiB differ"; }
done

# Flops, against those that the ops count in a step.  Both are rounded: the plan's to three digits, bench's GF/s to 0.1.
for stage in pretrain instruct; do
    flops=(--set train.stage=$stage --set data.codes=stored --set parallel.threads=1)
    says 0 0 bench "$config" "${flops[@]}"
    tail -1 out | awk '{ print $3 / $1, 0.006 + 0.05 / $3 }' >counted
    says 0 0 plan "$config" "${flops[@]}"
    sed -n 's/^  a step  *\([0-9.]*\) MF .*/\1/p' out | paste - counted | awk '
        { n++; off = $1 / 1000 / $2 - 1; bad += off > $3 || off < -$3 } END { exit n != 1 || bad }' ||
        { cat out; fail "$stage: $(cat counted) GF a sample are counted in a step"; }
done
