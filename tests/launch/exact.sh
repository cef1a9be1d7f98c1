# parallel.reduction = "exact": sums of integers, so any number of replicas gives the same bits, with ZeRO or without, for AdamW and for Muon,
# over a preemption; near the canonical ones; what they have no room for is skipped everywhere alike; two gradients of memory, no more.
. "$(dirname "$0")/tools.inc"

small+=(--set train.micro_batch=1 --set train.global_batch=16 --set train.steps=20 --set train.lr=4e-3)
set -- "$config" "${small[@]}"
exact=(--set parallel.reduction=exact)
fingerprint() { "$ASVR" verify "$1/ckpt/step-00000020" | cut -d' ' -f2; }
alike() {                                       # A B: the same run, to the last bit
    same_losses $1 $2
    [ "$(fingerprint $1)" = "$(fingerprint $2)" ] || fail "the weights of $1 and $2 differ"
}
near() { paste -d' ' <(column loss $1) <(column loss $2) | awk -v t=$3 '
    { d = ($2 - $4) / $2; if ($1 != $3 || d > t || -d > t) exit 1 }' || fail "$1 and $2 differ by more than $3"; }

says 0 1 pack "$@"
for optimizer in adamw muon; do
    says 0 0 train "$@" --set run.dir=tree.$optimizer --set train.optimizer=$optimizer
    says 0 0 train "$@" --set run.dir=$optimizer --set train.optimizer=$optimizer "${exact[@]}"
    near tree.$optimizer $optimizer 1e-6        # sums that are rounded once instead of 15 times, over 20 steps: 30 times what is seen
    ! diff <(column loss_hex tree.$optimizer) <(column loss_hex $optimizer) >/dev/null || fail "$optimizer: exact is the tree"
    for ranks in 2 4; do
        for zero in 0 1 2; do
            says 0 $ranks train "$@" --set run.dir=$optimizer.$ranks.$zero --set train.optimizer=$optimizer --set parallel.zero=$zero "${exact[@]}"
            alike $optimizer $optimizer.$ranks.$zero
        done
    done
done
says 0 2 train "$@" --set run.dir=threads --set parallel.threads=3 "${exact[@]}"
alike adamw threads

# ---- 4 replicas, then one ----
begin 4 train "$@" --set run.dir=moves --set parallel.zero=2 "${exact[@]}"
at_step 7 moves
kill -USR1 $job
ended 75
says 0 0 train "$@" --set run.dir=moves "${exact[@]}"
! grep -q 'within a tolerance' out || fail "other replicas are said to change sums"
alike adamw moves
[ "$(column dp moves | cut -d' ' -f2 | uniq | tr '\n' ' ')" = '4 1 ' ] || fail "not 4 replicas and 1: $(column dp moves)"

# ---- what is too large for the sums, or no number: the same steps are skipped, and said ----
for ranks in 0 2 4; do
    says 79 $ranks train "$@" --set run.dir=large$ranks --set train.visual_weight=1e6 --set train.skip_limit=2 "${exact[@]}"
    grep -q 'is skipped: loss [0-9.e+]*, gradient norm -\{0,1\}nan; not finite, or beyond the range of exact sums: that of rank' err || { cat err; fail "$ranks ranks: not said"; }
    [ "$(column skipped large$ranks | cut -d' ' -f2 | tr '\n' ' ')" = '1 2 3 ' ] || fail "$ranks ranks: other steps were skipped"
    same_losses large0 large$ranks
done
says 0 0 train "$@" --set run.dir=large --set train.visual_weight=1e6 --set train.steps=2          # the tree takes it
for fault in 0:3:backward:nan 1:3:backward:spike:1e10; do
    rm -rf once
    ASVR_FAULT=$fault says 0 2 train "$@" --set train.steps=5 --set run.dir=once "${exact[@]}"
    [ "$(column skipped once | cut -d' ' -f2 | tr '\n' ' ')" = '0 0 1 1 1 ' ] || { cat err; fail "$fault: not the third step was skipped"; }
done

# ---- memory: a sum takes two gradients, however many micro-batches there are; none where there is one ----
waits() {                                       # of the plan in out, in gradients
    awk '$1 == "gradients" { g = $2 } $1 == "sums" && $2 == "that" { w = $4 } END { printf "%.2f\n", w / g }' out; }
for batch in 2 8 64; do
    says 0 0 plan "$@" --set train.global_batch=$batch --set model.decoder.ffn=4096 "${exact[@]}"
    [ "$(waits)" = 2.00 ] || { cat out; fail "$batch micro-batches: $(waits) gradients wait"; }
done
says 0 0 plan "$@" --set plan.replicas=2 --set train.global_batch=64 --set parallel.zero=2 "${exact[@]}"
awk '$1 == "gradients" { g = $4 } $1 == "sums" && $2 == "that" { w = $4 } END { exit w < 0.98 * g || w > 1.02 * g }' out ||       # one rank's
    { cat out; fail "ZeRO-2: sums of two replicas do not take two shares, as much as a gradient"; }
says 0 0 plan "$@" --set plan.replicas=16 "${exact[@]}"
grep -q '^  sums that wait  *0.00 B ' out || { cat out; fail "sums wait beside a single micro-batch"; }

# ---- where it cannot be ----
says 78 0 train "$@" --set run.dir=no --set train.stage=tokenizer "${exact[@]}"
blames 'parallel.reduction = "exact"' 'counts of codes' 'parallel.reduction = "canonical"'
says 78 2 train "$@" --set run.dir=no --set parallel.wire=bf16 "${exact[@]}"
blames 'parallel.wire = "bf16"' 'parallel.reduction = "fast"'
[ ! -e no ] || fail "a refused run left something behind"
