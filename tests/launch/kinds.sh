# Decoders and towers of other kinds: one rank or two replicas with ZeRO give the same bits, two tensor-parallel ranks nearly
# the same; no key is without effect; a checkpoint of one kind is not taken for another; plan's messages and flops are those of a run.
. "$(dirname "$0")/tools.inc"

small+=(--set train.steps=4 --set train.micro_batch=2 --set model.decoder.kv_heads=2)
says 0 0 pack "$config" "${small[@]}"

near() { paste -d' ' <(column loss "$1") <(column loss "$2") | awk '
    { d = ($2 - $4) / $2; if ($1 != $3 || d > 1e-5 || -d > 1e-5) exit 1 }' || fail "$1 and $2 differ by more than 1e-5"; }
sets=()
kind() {                                        # NAME KEY=VALUE...
    local name=$1
    sets=("$config" "${small[@]}")
    shift
    for set; do sets+=(--set "model.$set"); done
    says 0 0 train "${sets[@]}" --set run.dir="$name"
    [ "$(column loss_hex "$name" | cut -d' ' -f2 | sort -u | wc -l)" = 4 ] || fail "$name: the loss does not move"
}
spread() {                                      # the last kind on more ranks
    says 0 2 train "${sets[@]}" --set run.dir="$1.zero" --set parallel.zero=1
    same_losses "$1" "$1.zero"
    says 0 2 train "${sets[@]}" --set run.dir="$1.tp" --set parallel.tp=2
    near "$1" "$1.tp"
    says 0 2 eval "${sets[@]}" --set run.dir="$1.zero" --set parallel.tp=2
}

kind plain
kind wide decoder.head_dim=24
kind norms decoder.qk_norm=true
kind tied decoder.tied=true
kind linear decoder.rope_scaling=linear decoder.rope_factor=4.0
kind llama3 decoder.rope_scaling=llama3 decoder.rope_factor=8.0 decoder.rope_original_max_len=64
kind qwen3 decoder.head_dim=24 decoder.qk_norm=true decoder.tied=true
spread qwen3
kind clip vision.kind=clip
spread clip
for run in plain wide norms tied linear llama3 qwen3 clip; do column loss_hex $run | head -n 1; done | sort | uniq -d | grep . &&
    fail "two kinds have the same loss"

# One tensor where there were two, and it is not taken for the other.
"$ASVR" verify tied/ckpt/step-00000004 >said || { cat said; fail "a tied checkpoint is not valid"; }
! grep -q 'decoder.lm_head' tied/ckpt/step-00000004/manifest.json || fail "a tied model has an LM head of its own"
says 65 0 train "$config" "${small[@]}" --set run.dir=no --set train.init=plain --set model.decoder.tied=true
blames decoder.lm_head plain/ckpt
says 65 2 train "$config" "${small[@]}" --set run.dir=no --set train.init=norms
blames decoder.0.attn.q_norm norms/ckpt
says 65 0 eval "$config" "${small[@]}" --set run.dir=plain --set model.decoder.layers=1
blames decoder.1.attn.norm plain/ckpt
says 0 0 train "$config" "${small[@]}" --set run.dir=on --set train.init=tied --set model.decoder.tied=true --set train.steps=1

# ---- what cannot be ----
says 78 0 plan "$config" --set model.decoder.head_dim=15
blames 'model.decoder.head_dim = 15 is odd'
says 78 0 plan "$config" --set model.decoder.rope_scaling=llama3 --set model.decoder.rope_low_freq_factor=4.0
blames 'model.decoder.rope_high_freq_factor = 4 is not above model.decoder.rope_low_freq_factor = 4'
says 78 0 plan "$config" --set model.vision.kind=clip --set train.stage=contrast
blames 'model.vision.kind = "siglip" alone'
says 78 0 plan "$config" --set model.vision.kind=clip --set train.stage=tokenizer --set model.codes.tower=own
blames 'train.distill_pool = 1'

# ---- plan ----
base=(--set data.codes=stored --set parallel.threads=1 --set run.dir= --set train.micro_batch=2 --set train.global_batch=8
      --set model.decoder.max_len=40 --set model.decoder.kv_heads=1 --set model.decoder.head_dim=24 --set model.decoder.qk_norm=true
      --set model.decoder.tied=true --set model.vision.kind=clip --set train.trainable=vision,projector,decoder,head)
says 0 2 bench "$config" "${base[@]}" --set parallel.tp=2
sed -nE 's/^(sent)? +tp +([0-9]+) collectives, +([0-9]+) bytes .*/\2 \3/p' out >sent
says 0 0 plan "$config" "${base[@]}" --set parallel.tp=2
awk '$1 == "tp" && / sums, of / { n += $(NF - 4) == "half" ? $(NF - 5) : $(NF - 4) } $1 == "tp" && $2 == "norm" { n++ } $1 == "tp" && $2 == "together" { b = $(NF - 1) }
     END { print n, b }' out | diff - sent || { cat out; fail "planned and sent messages differ"; }
says 0 0 bench "$config" "${base[@]}"
tail -1 out | awk '{ print $3 / $1, 0.006 + 0.05 / $3 }' >counted
says 0 0 plan "$config" "${base[@]}"
sed -n 's/^  a step  *\([0-9.]*\) MF .*/\1/p' out | paste - counted | awk '
    { n++; off = $1 / 1000 / $2 - 1; bad += off > $3 || off < -$3 } END { exit n != 1 || bad }' ||
    { cat out; fail "$(cat counted) GF a sample are counted in a step"; }
