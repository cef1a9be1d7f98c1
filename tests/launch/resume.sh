# Killed at any step, a run goes on as if nothing had been; a damaged checkpoint is passed over, never believed.
. "$(dirname "$0")/tools.inc"

small+=(--set train.steps=24 --set ckpt.every=4)
says 0 1 pack "$config" "${small[@]}"
says 0 2 train "$config" "${small[@]}" --set run.dir=whole
fingerprint() { "$ASVR" verify "$1/ckpt/step-00000024" | cut -d' ' -f2; }

resumes() {                                     # RUN: goes on, and nobody can tell
    says 0 2 train "$config" "${small[@]}" --set run.dir=$1
    same_losses whole $1
    [ "$(fingerprint whole)" = "$(fingerprint $1)" ] || fail "the weights of $1 differ"
    [ -z "$(find $1 -name '.tmp-*')" ] || fail "left behind: $(find $1 -name '.tmp-*')"
}

# ---- all ranks at once, between two checkpoints ----
begin 2 train "$config" "${small[@]}" --set run.dir=all
at_step 10 all
kill -9 $(ranks)
ended any
mkdir -p all/ckpt/.tmp-step-00000012 && echo torn >all/ckpt/.tmp-step-00000012/tensors.h5
echo '{"step": 11, "ti' >>all/run.jsonl
echo half >all/.tmp-run.jsonl
resumes all
grep -qE '^resumes from all/ckpt/step-000000(04|08|12|16)' out || { cat out; fail "it does not say from where it resumes"; }
column restart all | awk '$1 == 1 && $2 != 0 || $1 == 24 && $2 != 1 { exit 1 }' || fail "restart is not counted"

# ---- one of them: the launcher ends the other ----
begin 2 train "$config" "${small[@]}" --set run.dir=one
at_step 6 one
set -- $(ranks)
kill -9 $2
ended any
! alive $1 || sleep 2
! alive $1 || fail "the other rank outlived its launcher"
resumes one

# ---- the newest checkpoint is damaged: truncated, then one bit of the other ----
truncate -s -1 one/ckpt/step-00000024/tensors.h5
resumes one
grep -q '^resumes from one/ckpt/step-00000020' out || { cat out; fail "it did not go back to step 20"; }
grep -q 'warning: checkpoint one/ckpt/step-00000024 is not valid' err || { cat err; fail "it does not say what it passed over"; }

flip one/ckpt/step-00000024/tensors.h5 $(($(size one/ckpt/step-00000024/tensors.h5) / 2))
rm one/ckpt/step-00000020/manifest.json
cp one/run.jsonl before
says 74 2 train "$config" "${small[@]}" --set run.dir=one
blames "no valid checkpoint left among 2" "step-00000024 (damaged between" "step-00000020 (it has no manifest"
cmp before one/run.jsonl
says 65 0 verify one/ckpt/step-00000024
blames "damaged between byte"
rm -r one/ckpt/step-*
says 74 1 train "$config" "${small[@]}" --set run.dir=one
blames "no checkpoint left"
