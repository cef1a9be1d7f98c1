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

# As people have them (the library's models of these sizes have as many): decoder, projector, tower whole.
while read -r name decoder projector tower; do
    says 0 0 plan "$configs/models/$name.cfg"
    counts decoder "$decoder"
    counts projector "$projector"
    grep -q "has $(commas "$tower") parameters" out || { cat out; fail "$name: the whole tower"; }
done <<'T'
llama31-8b    8030261248 21504000 428225600
qwen25-7b     7615616512 16980992 428225600
qwen3-8b      8190735360 21504000 428225600
qwen3-4b      4022468096  9507840 428225600
smollm2-135m   134515008   996480 428225600
llava15-7b-hf 6738939904 20979712 303507456
T
[ $((6738939904 + 20979712 + 303507456)) = 7063427072 ] || fail "llava-1.5-7b-hf"
says 0 0 plan "$configs/models/qwen3-8b.cfg" --set train.stage=contrast --set train.init= --set model.decoder.vocab=256000
counts "text tower" 707782896
counts together 1136008498                                                 # SigLIP 2

# Large sizes do not overflow; codes of both kinds count.
says 0 0 plan "$configs/llava15-7b/instruct.cfg" --set model.codes.size=65536 --set model.codes.appearance_layer=-22 \
    --set train.supervision=both
counts "codebooks, appearance" "$(parameters codebooks)"
counts "visual head, appearance" "$(parameters "visual head")"
says 0 0 plan "$configs/llava15-13b/instruct.cfg" --set train.micro_batch=4096 --set train.global_batch=4096
grep -qE 'in arenas +[0-9.]+ TiB' out || { cat out; fail "4096 sequences of 13B do not take terabytes"; }
says 78 0 plan "$configs/tiny.cfg" --set train.trainable=decodr
blames train.trainable decodr

# Tensors lie nowhere and MPI is not started: 2048 ranks are planned in a second, in an address space of 1 GiB.  Several ranks speak once.
large=("$configs/llava15-7b/instruct.cfg" --set parallel.tp=8 --set plan.replicas=256 --set train.global_batch=1024 --set parallel.zero=1)
says 0 0 plan "${large[@]}"
cp out plenty
(ulimit -v 1048576; timeout 2 "$ASVR" plan "${large[@]}") >out 2>&1 || { cat out; fail "a plan takes memory, or long"; }
# The process itself is a part of the figures.
diff <(grep -vE '^  (process|predicted peak) ' plenty) <(grep -vE '^  (process|predicted peak) ' out) ||
    fail "a plan depends on the memory there is"
grep -q '^2048 ranks: 256 replicas of 8; 2 x 2 samples each' out || { cat out; fail "2048 ranks"; }
says 0 2 plan "$config"
[ "$(grep -c '^decoder ' out)" = 1 ] || fail "each rank prints the plan"

# ---- what divides ----
says 0 0 plan "$config"
grep -qF 'would do: parallel.tp = 1, 2, 4; replicas = 1, 2, 4 (' out || { cat out; fail "what would do"; }
says 78 0 plan "$config" --set parallel.tp=3
blames 'model.decoder.heads = 4 does not divide among parallel.tp = 3 ranks; 1, 2 and 4 would do'
says 78 0 plan "$config" --set plan.replicas=3
blames 'train.global_batch = 16 is no multiple of train.micro_batch = 4 times 3 replicas; 1, 2, 4 would do'
says 78 0 plan "$config" --set train.micro_batch=5
blames 'no number would do'

# The most ranks of a job that can be used, for batch scripts.
most() { says 0 0 plan "$config" "${@:2}"; [ "$(cat out)" = "$1" ] || { cat out; fail "$2: not $1"; }; }
most 'ranks 4: 4 replicas of 1, 2 of 6 left idle' --set plan.ranks=6
most 'ranks 4: 2 replicas of 2, 1 of 5 left idle' --set plan.ranks=5 --set parallel.tp=2
most 'ranks 2: 1 replica of 2, 0 of 2 left idle' --set plan.ranks=2 --set parallel.tp=2
most 'ranks 12: 12 replicas of 1, 3 of 15 left idle' --set plan.ranks=15 --set train.global_batch=48
says 78 0 plan "$config" --set plan.ranks=3 --set parallel.tp=4
blames 'parallel.tp = 4 wants at least 4 ranks, not 3'
says 78 0 plan "$config" --set plan.ranks=6 --set train.micro_batch=5
blames 'train.global_batch = 16 is no multiple of train.micro_batch = 5'

# ---- what a run then takes ----
# The plan's sequences are as long as max_len: here the data's are longer, so that the run's are, too.  The wide decoder makes
# every class of memory several MiB, which is more than the figures are rounded by.  launch/memory compares the peaks.
small+=(--set model.decoder.max_len=96 --set model.decoder.ffn=4096 --set run.dir=run --set train.steps=1)
for stage in instruct pretrain tokenizer; do
    says 0 0 plan "$config" "${small[@]}" --set train.stage=$stage
    sed -n 's/^  in arenas .* \([0-9.]*\) MiB$/\1/p' out >planned
    [ -s shards/index.set ] || says 0 0 pack "$config" "${small[@]}"
    says 0 0 train "$config" "${small[@]}" --set train.stage=$stage --set run.dir=run-$stage
    sed -n 's/.*; \([0-9]*\) MiB each.*/\1/p' out | paste planned - | awk '
        { n++; bad += $1 <= 0 || $2 - $1 > 1 || $1 - $2 > 1 } END { exit n != 1 || bad }' ||
        { cat planned out; fail "$stage: planned and taken MiB differ"; }
done

once=(--set bench.warm=0 --set bench.steps=1 --set bench.rates=false)       # counts are those of any step
# Flops of a step, to the last of the nine digits that bench writes of those that the ops count in it.
flops() {
    local all=(--set data.codes=stored --set parallel.threads=1 --set run.dir=counted "${once[@]}" "$@")
    says 0 0 bench "$config" "${all[@]}"
    sed -nE 's/.*"flops": ([0-9.e]+),.*/\1/p' counted/steps.json >ops
    says 0 0 plan "$config" "${all[@]}"
    sed -nE 's/^  a step .* on each rank: ([0-9]+)$/\1/p' out | paste - ops | awk '
        { n++; off = $1 / $2 - 1; bad += off > 1e-8 || off < -1e-8 } END { exit n != 1 || bad }' ||
        { cat out; fail "$*: $(cat ops) flops are counted in a step"; }
}
flops --set train.stage=pretrain
flops --set train.supervision=denoising --set model.vision.scales=2
flops --set train.visual_share=0.5 --set model.head.tied=true
flops --set train.lora_rank=3

# ---- messages ----
# Every byte that a rank sends in a step, over each axis, and every sum over tp, as the collectives count them.
base=(--set data.codes=stored --set parallel.threads=1 --set run.dir= --set train.micro_batch=2 --set train.global_batch=8
      --set model.decoder.max_len=40)
messages() {
    local ranks=$1 tp=$2
    shift 2
    says 0 "$ranks" bench "$config" "${base[@]}" "${once[@]}" --set parallel.tp="$tp" "$@"
    sed -nE 's/^(sent)? +(tp|dp|world) +([0-9]+) collectives, +([0-9]+) bytes .*/\2 \4/p' out | awk '$2 > 0' >sent
    sed -nE 's/^(sent)? +tp +([0-9]+) collectives.*/\2/p' out >calls
    says 0 0 plan "$config" "${base[@]}" --set plan.replicas=$((ranks / tp)) --set parallel.tp="$tp" "$@"
    sed -nE 's/^  (tp|dp|world) +together .* ([0-9]+) bytes$/\1 \2/p' out | diff - sent ||
        { cat out; fail "$ranks ranks, $*: planned and sent bytes differ"; }
    [ "$tp" = 1 ] || awk '$1 == "tp" && / sums, of / { n += $(NF - 4) == "half" ? $(NF - 5) : $(NF - 4) } $1 == "tp" && $2 == "norm" { n++ } END { print n }' out |
        diff - calls || { cat out; fail "$ranks ranks, $*: planned and counted sums differ"; }
}
messages 2 2
messages 2 2 --set train.stage=pretrain --set model.decoder.kv_heads=1 --set model.projector.layers=4
messages 2 2 --set train.supervision=both --set model.codes.appearance_layer=-2 --set model.head.tied=true \
    --set train.trainable=vision,projector,decoder,head,app_head
messages 2 2 --set train.supervision=denoising --set model.vision.scales=2
messages 2 2 --set train.lora_rank=3 --set train.lora_targets=q_proj,v_proj,down_proj --set train.recompute=block
messages 2 2 --set train.supervision=none --set model.vision.input=discrete
messages 2 1
messages 2 1 --set parallel.zero=1 --set parallel.reduction=fast
messages 2 1 --set parallel.wire=bf16 --set parallel.reduction=fast --set train.optimizer=muon
messages 2 1 --set parallel.reduction=exact --set train.optimizer=muon
messages 2 1 --set parallel.reduction=exact --set parallel.zero=1 --set train.global_batch=4        # one micro-batch each: floats
messages 4 2 --set parallel.zero=1 --set train.lora_rank=3 --set model.decoder.kv_heads=1 --set parallel.sequence=true
messages 2 1 --set parallel.zero=2 --set parallel.reduction=exact         # each of two micro-batches is exchanged
messages 2 1 --set parallel.zero=2 --set parallel.reduction=fast --set parallel.wire=bf16 --set train.micro_batch=1

# Each sum at its place: two in a block that runs and two more in one that learns, of four micro-batches; those in two phases as their halves.
places() {
    says 0 0 plan "$config" "${base[@]}" --set parallel.tp=2 "${@:2}"
    [ "$(sed -nE 's/^  tp +(.*[a-z])  .* ([0-9]+( half)?) sums, .*/\1 \2/p' out | paste -sd,)" = "$1" ] || { cat out; fail "not the places $1"; }
}
head="visual head 12,visual head 16 half,visual loss, back 36,visual loss, back 24 half"
places "vision tower 32 half,projector 4,decoder 4,decoder 64 half,text loss 16,$head"
places "vision tower 64 half,projector 8,decoder 4,decoder 64 half,text loss 16,denoising head 32 half" --set train.supervision=denoising \
    --set train.trainable=vision,projector,decoder,denoiser --set model.decoder.tied=true
places "vision tower 32 half,the codes' own tower 32 half,codes 24,projector 4,decoder 4,decoder 64 half,text loss 16,$head" \
    --set data.codes= --set model.codes.tower=own

# ---- rates ----
says 0 2 bench "$config" "${base[@]}" --set run.dir=rates
says 0 0 plan "$config" "${base[@]}" --set plan.replicas=2 --set plan.rates=rates
grep -qE '^predicted step [0-9.]+ s \(compute [0-9.]+, tp 0.0000, dp exposed [0-9.]+, optimizer [0-9.]+\)' out || { cat out; fail "no time"; }
! grep -q 'are missing' out || { cat out; fail "the rates of two replicas serve two replicas"; }
says 0 0 plan "$config" "${base[@]}" --set plan.replicas=2 --set parallel.tp=2 --set plan.rates=rates
grep -q 'messages over tp are missing' out || { cat out; fail "a run without tp knows no rate of it"; }
says 74 0 plan "$config" --set plan.rates=nowhere
blames nowhere/bench.json
mkdir bad
bad() { echo "$1" >bad/bench.json; says 65 0 plan "$config" --set plan.rates=bad; blames "$2" bad/bench.json; }
bad '{' 'not the rates of a machine'
bad '[]' format
bad "$(sed 's/"sgemm": [^,]*/"sgemm": -1/' rates/bench.json)" sgemm
bad "$(sed 's/"memory": [^,]*/"memory": "fast"/' rates/bench.json)" memory
bad "$(sed 's/"dp": 2/"dp": 3/' rates/bench.json)" ranks
bad "$(sed 's/"tp_sums": \[\]/"tp_sums": [{}, {}]/' rates/bench.json)" tp_sums
bad "$(sed 's/"version": 1/"version": 2/' rates/bench.json)" version
