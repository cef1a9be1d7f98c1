# What `asvr plan` says a rank's peak will be is within 10 % of what a run then takes, on configurations that differ in kind.
# Most are a few 100 MiB, so that the process itself, some 40 MiB, does not decide.
. "$(dirname "$0")/tools.inc"

# Sequences are cut to model.decoder.max_len, which is shorter than the data's: that is what plan counts with.
small+=(--set model.decoder.max_len=96 --set train.steps=2)
wide=(--set model.decoder.width=384 --set model.decoder.ffn=1536 --set model.decoder.layers=4 --set train.micro_batch=2)
says 0 0 pack "$config" "${small[@]}"

printf '%-44s %9s %9s\n' "" planned measured >table
# row NAME MEASURED RANKS TP SETTINGS...: plans, and notes both figures in MiB
row() {
    says 0 0 plan "$config" "${small[@]}" --set plan.replicas=$(($3 / $4)) --set parallel.tp="$4" "${@:5}"
    printf '%-44s %9s %9.1f\n' "$1" "$(sed -n 's/^  predicted peak .* \([0-9]*\) MiB$/\1/p' out)" "$2" >>table
}
# peak NAME RANKS TP SETTINGS...: of a run that saves in the middle, whose log knows of rank 0
peak() {
    says 0 "$2" train "$config" "${small[@]}" --set run.dir=run --set ckpt.every=1 --set parallel.tp="$3" "${@:4}"
    row "$1" "$(sed -n 's/.*"rss_mb": \([0-9.]*\).*/\1/p' run/run.jsonl | tail -1)" "${@:2}"
    rm -r run
}
# largest NAME RANKS TP SETTINGS...: of the largest rank of a benchmark, for grids whose ranks differ
largest() {
    says 0 "$2" bench "$config" "${small[@]}" --set run.dir= --set data.codes=given --set parallel.tp="$3" "${@:4}"
    row "$1" "$(sed -n '$s/.* \([0-9]*\) MiB$/\1/p' out)" "${@:2}" --set data.codes=given --set ckpt.async=false      # it saves nothing
}

peak "tiny" 1 1
peak "wide, 4 micro-batches" 1 1 "${wide[@]}"
peak "tp = 2" 2 2 "${wide[@]}"
peak "dp = 2, zero = 1" 2 1 "${wide[@]}" --set parallel.zero=1
largest "dp = 2, 3 micro-batches each" 2 1 "${wide[@]}" --set train.global_batch=12
peak "dp = 2, fast" 2 1 "${wide[@]}" --set parallel.reduction=fast
peak "64 micro-batches, exact" 1 1 "${wide[@]}" --set train.micro_batch=1 --set train.global_batch=64 --set parallel.reduction=exact
peak "dp = 2, 8 micro-batches, exact" 2 1 "${wide[@]}" --set train.micro_batch=1 --set train.global_batch=16 --set parallel.reduction=exact
peak "dp = 2, tp = 2, zero = 1" 4 2 "${wide[@]}" --set parallel.zero=1
peak "dp = 2, zero = 2" 2 1 "${wide[@]}" --set parallel.zero=2 --set train.global_batch=4
peak "dp = 2, zero = 2, 12 layers" 2 1 "${wide[@]}" --set parallel.zero=2 --set train.micro_batch=1 --set train.global_batch=2 \
    --set model.decoder.layers=12
peak "dp = 2, zero = 2, exact" 2 1 "${wide[@]}" --set parallel.zero=2 --set parallel.reduction=exact
peak "dp = 4, zero = 2, Muon" 4 1 "${wide[@]}" --set parallel.zero=2 --set train.optimizer=muon
peak "dp = 2, zero = 2, denoising" 2 1 "${wide[@]}" --set parallel.zero=2 --set train.supervision=denoising --set model.head.width=256
peak "Muon, tp = 2, fast" 2 2 "${wide[@]}" --set train.optimizer=muon --set parallel.reduction=fast
peak "low-rank pairs" 1 1 "${wide[@]}" --set train.lora_rank=8
peak "denoising" 1 1 "${wide[@]}" --set train.supervision=denoising --set model.head.width=256
peak "no visual targets" 1 1 "${wide[@]}" --set train.supervision=none
peak "a large vocabulary" 1 1 "${wide[@]}" --set model.decoder.vocab=16384
peak "long micro-batches" 1 1 "${wide[@]}" --set train.micro_batch=8 --set model.decoder.width=256
for what in attention block; do
    peak "long micro-batches, recompute $what" 1 1 "${wide[@]}" --set train.micro_batch=8 --set model.decoder.layers=8 --set train.recompute=$what
done
for what in none attention block; do
    peak "shares of rows, tp = 2, recompute $what" 2 2 "${wide[@]}" --set train.micro_batch=8 --set model.decoder.layers=8 \
        --set parallel.sequence=true --set train.recompute=$what
done
peak "contrast, shares of rows" 2 2 --set train.stage=contrast --set model.vision.width=256 --set model.vision.ffn=1024 \
    --set model.vision.layers=8 --set train.micro_batch=8 --set parallel.sequence=true
# An evaluation's keys and values are a sixth of this one: left out it would fail.
peak "evaluation, 16 answers at once" 1 1 --set eval.every=1 --set eval.batch=16 --set train.micro_batch=16 --set train.global_batch=16 \
    --set model.decoder.layers=32 --set model.decoder.ffn=128 --set train.recompute=block
peak "stage contrast" 1 1 --set train.stage=contrast --set model.vision.width=256 --set model.vision.ffn=1024 \
    --set model.vision.layers=8

# 10 %, as promised: MPI's own buffers, OpenBLAS' and what the heap keeps are known to some MiB only.
awk 'NR == 1 { print; next }
     { off = $(NF - 1) / $NF - 1; printf "%s %+6.1f %%\n", $0, 100 * off; n++; bad += off > 0.1 || off < -0.1 }
     END { exit n < 6 || bad }' table >compared || { cat compared; fail "a planned peak is not within 10 % of the measured one"; }
