# A bit that turns in memory: what is frozen is compared before each save, what ranks hold alike a slice a step; tensor, rank and
# host are named, nothing of it is saved.
. "$(dirname "$0")/tools.inc"

small+=(--set train.steps=60 --set train.micro_batch=2 --set ckpt.every=30)
says 0 2 pack "$config" "${small[@]}"

# turned TENSOR RANK RANKS ARGS...: a bit of a tensor turns on that rank in step 3
turned() {
    local tensor=$1 rank=$2 ranks=$3
    shift 3
    rm -rf run
    ASVR_FAULT=$rank:3:optim:flip:$tensor says 70 $ranks train "$config" "${small[@]}" --set run.dir=run "$@"
    blames 'a value in memory has changed: "'$tensor "rank $rank, host $(hostname)" 'hint'
    [ -z "$(ls run/ckpt 2>/dev/null | grep step)" ] || { ls run/ckpt; fail "$tensor: the changed weights were saved"; }
}
# noticed TEXT: before the save, or by it
noticed() { grep -q "$1" err || { cat err; fail "not said: $1"; }; }

turned vision.0.attn 0 1
noticed 'step 30 is not saved'
[ "$(wc -l <run/run.jsonl)" = 30 ] || fail "on one rank it was not the save that noticed"
turned codes 0 2 --set parallel.tp=2
turned vision.0 1 2 --set parallel.tp=2
for zero in 0 1; do turned vision.1 3 4 --set parallel.zero=$zero; done
noticed 'the bits of the other ranks, which'
turned decoder.1 1 2
noticed 'which of the two is right cannot be told'
[ "$(wc -l <run/run.jsonl)" -lt 30 ] || fail "a step did not notice"
turned projector 2 4
# A replica's ranks pass on what they compute with it: what differs first need not be where it began.
for ranks in 2 4; do
    rm -rf run
    ASVR_FAULT=1:3:optim:flip:decoder.norm says 70 $ranks train "$config" "${small[@]}" --set run.dir=run --set parallel.tp=2
    blames 'a value in memory has changed' 'rank 1, host'
    [ "$(wc -l <run/run.jsonl)" -lt 30 ] || fail "a step did not notice"
done

# ---- just before a save ----
for tp in 1 2; do
    rm -rf run
    ASVR_FAULT=1:30:save:flip:decoder.norm says 70 2 train "$config" "${small[@]}" --set run.dir=run --set parallel.tp=$tp
    blames 'a value in memory has changed' 'decoder.norm' 'rank 1, host'
    [ -z "$(ls run/ckpt 2>/dev/null | grep step)" ] || fail "weights that differ were saved"
done
