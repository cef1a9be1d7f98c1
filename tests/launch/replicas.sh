# The canonical reduction: any number of replicas gives the same bits, with ZeRO or without, for AdamW and for Muon, and
# however often the number changes on the way.
. "$(dirname "$0")/tools.inc"

small+=(--set train.micro_batch=2 --set train.steps=50 --set train.lr=4e-3)
fingerprint() { "$ASVR" verify "$1/ckpt/step-000000${2:-50}" | cut -d' ' -f2; }
alike() {                                       # A B: the same run, to the last bit
    same_losses $1 $2
    [ "$(fingerprint $1 ${3:-50})" = "$(fingerprint $2 ${3:-50})" ] || fail "the weights of $1 and $2 differ"
}

says 0 1 pack "$config" "${small[@]}"
for optimizer in adamw muon; do
    set -- "$config" "${small[@]}" --set train.optimizer=$optimizer
    says 0 0 train "$@" --set run.dir=$optimizer
    [ "$(column loss_hex $optimizer | cut -d' ' -f2 | sort -u | wc -l)" = 50 ] || fail "$optimizer: the loss does not move"
    for zero in 0 1 2; do
        for ranks in 2 4; do
            says 0 $ranks train "$@" --set run.dir=$optimizer.$zero.$ranks --set parallel.zero=$zero
            alike $optimizer $optimizer.$zero.$ranks
        done
    done

    # ---- 4 replicas, then 1, then 2, over two preemptions ----
    set -- "$@" --set run.dir=$optimizer.moves
    begin 4 train "$@" --set parallel.zero=2
    at_step 9 $optimizer.moves
    kill -USR1 $job
    ended 75
    begin 0 train "$@"
    at_step 25 $optimizer.moves
    kill -TERM $job
    ended 75
    says 0 2 train "$@" --set parallel.zero=1
    alike $optimizer $optimizer.moves
    [ "$(column dp $optimizer.moves | cut -d' ' -f2 | uniq | tr '\n' ' ')" = '4 1 2 ' ] || fail "not 4, 1 and 2 replicas: $(column dp $optimizer.moves)"
done
! cmp -s adamw/ckpt/step-00000050/tensors.h5 muon/ckpt/step-00000050/tensors.h5 || fail "Muon is AdamW"

# ---- what a start says of it ----
says 0 2 train "$config" "${small[@]}" --set train.steps=1 --set run.dir=said --set parallel.zero=2
grep -q 'gradients and moments shared among replicas' out || { cat out; fail "what is shared is not said"; }
grep -q '^.*2 micro-batches of a replica a step: their sums wait whole and take' out || { cat out; fail "what waits is not said"; }

# ---- three replicas: where they do not divide the batch, a sentence; where they do, the same bits ----
says 78 3 train "$config" "${small[@]}" --set run.dir=three
blames 'train.global_batch = 8 is no multiple of train.micro_batch = 2 times 3 replicas'
[ ! -e three ] || fail "a refused run left something behind"
set -- "$config" "${small[@]}" --set train.global_batch=12 --set train.steps=5
says 0 0 train "$@" --set run.dir=six.1
for ranks in 2 3; do                            # 3 micro-batches each are two parts of the tree
    says 0 $ranks train "$@" --set run.dir=six.$ranks --set parallel.zero=$((4 - ranks))
    alike six.1 six.$ranks 05
done

# ---- fast: close, and said to be so; 16 bits on the wire: near ----
near() { paste -d' ' <(column loss $1) <(column loss $2) | awk -v t=$3 '
    { d = ($2 - $4) / $2; if ($1 != $3 || d > t || -d > t) exit 1 }' || fail "$1 and $2 differ by more than $3"; }
set -- "$config" "${small[@]}" --set train.steps=5 --set parallel.reduction=fast
says 0 0 train "$config" "${small[@]}" --set train.steps=5 --set run.dir=right
for zero in 0 1 2; do
    says 0 4 train "$@" --set run.dir=fast.$zero --set parallel.zero=$zero
    near right fast.$zero 1e-6                  # sums of floats in another order: ten times what is seen
    says 0 2 train "$@" --set run.dir=wire.$zero --set parallel.zero=$zero --set parallel.wire=bf16
    near right wire.$zero 1e-2                  # gradients of 8 bits, five steps
    ! diff <(column loss_hex right) <(column loss_hex wire.$zero) >/dev/null || fail "nothing was rounded"
done
says 78 2 train "$config" "${small[@]}" --set run.dir=no --set parallel.wire=bf16
blames 'parallel.wire = "bf16"' 'parallel.reduction = "fast"'
