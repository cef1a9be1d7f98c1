# The grid does not matter: 1 rank x 2 micro-batches and 2 ranks x 1 are the same, in every stage, and twice the same is
# the same, to the last bit.  The four stages follow each other as they do in earnest.
. "$(dirname "$0")/tools.inc"

small+=(--set train.steps=4 --set model.text.width=32 --set model.text.layers=1 --set model.text.heads=2
        --set model.text.ffn=64 --set model.text.max_len=24)

# Sums of floats in another order: 1e-6 of the loss is about ten times what is seen.
close_losses() {
    paste -d' ' <(column $3 $1) <(column $3 $2) | awk '
        { d = $2 - $4; m = $2 < 0 ? -$2 : $2; if ($1 != $3 || d > 1e-6 * m || -d > 1e-6 * m) bad = bad " " $1 }
        END { if (bad || NR != 4) { print "steps" bad " of " NR; exit 1 } }' || { paste <(column $3 $1) <(column $3 $2); fail "$3 of $1 and $2 differ"; }
}

stage() {                                       # STAGE ARGS...
    local stage=$1
    shift
    set -- "$config" "${small[@]}" --set train.stage=$stage "$@"
    says 0 2 train "$@" --set run.dir=$stage
    says 0 2 train "$@" --set run.dir=$stage.again
    says 0 1 train "$@" --set run.dir=$stage.one
    says 0 0 train "$@" --set run.dir=$stage.four --set train.micro_batch=2
    same_losses $stage $stage.again
    same_losses $stage $stage.one
    # A contrastive loss is over the pairs of a micro-batch: of another size it is another loss.
    [ $stage = contrast ] || close_losses $stage $stage.four loss
    [ "$(column loss_hex $stage | cut -d' ' -f2 | sort -u | wc -l)" = 4 ] || fail "$stage: the loss does not move"
}

says 0 2 pack "$config" "${small[@]}" --set data.template=plain
stage contrast
stage tokenizer --set train.init=contrast
grep -q 'fresh: codes' out || { cat out; fail "it does not say what is fresh"; }

says 0 2 pack "$config" "${small[@]}" --set data.template=plain --set data.codes=tokenizer
grep -q 'with codes' out || fail "no codes were packed"
"$ASVR" verify shards | head -1 >codes
says 0 0 pack "$config" "${small[@]}" --set data.template=plain --set data.codes=tokenizer
"$ASVR" verify shards | head -1 | cmp - codes || fail "codes depend on the number of ranks"
stage pretrain --set train.init=tokenizer

says 0 2 pack "$config" "${small[@]}" --set data.codes=tokenizer
stage instruct --set train.init=pretrain
grep -q "^starts from pretrain/ckpt/step-00000004; steps" out || { cat out; fail "every part should come from pretrain"; }
says 0 2 eval "$config" "${small[@]}" --set run.dir=instruct
# ---- each stage can be evaluated by what it trained ----
says 0 0 eval "$config" "${small[@]}" --set train.stage=contrast --set run.dir=contrast
grep -q '^contrastive loss' out && grep -q '"retrieval": ' contrast/eval.json || { cat out; fail "no contrastive loss"; }
says 0 0 eval "$config" "${small[@]}" --set train.stage=tokenizer --set run.dir=tokenizer
grep -q '^energy left after depth 2' out || { cat out; fail "no energies"; }

# ---- the codes' own tower: 1, 2 and 4 ranks, the same codes chosen and started again ----
own=("$config" "${small[@]}" --set model.codes.tower=own --set model.codes.layer=-2)
chosen() { grep -oE '"code_(usage|perplexity)": \[[^]]+\]|"code_restarts": [0-9]+' $1/run.jsonl; }
for ranks in 0 2 4; do
    says 0 $ranks train "${own[@]}" --set train.stage=tokenizer --set train.init=contrast --set run.dir=own$ranks --set train.micro_batch=2
    same_losses own0 own$ranks
    diff <(chosen own0) <(chosen own$ranks) || fail "the codes of own0 and own$ranks differ"
done
[ "$(chosen own0 | wc -l)" = 12 ] || fail "the codes of own0 are not logged"
grep -q 'fresh: codes; tokenizer: a copy of vision' out || { cat out; fail "it does not say where the tower comes from"; }
[ "$(column loss_hex own2 | cut -d' ' -f2 | sort -u | wc -l)" = 4 ] || fail "own2: the loss does not move"
[ "$(column code_restarts own2 | head -1)" != '1 0' ] || fail "no code started again in the first step"
# Without a checkpoint to start from it is a copy, too.
says 0 0 train "${own[@]}" --set train.stage=tokenizer --set run.dir=own.seed --set train.steps=1
grep -q 'starts from seed 1; tokenizer: a copy of vision' out || { cat out; fail "the tower is not a copy"; }
[ "$(column loss_visual own.seed)" = '1 0' ] || fail "a copy's features have a distance"

says 0 2 pack "${own[@]}" --set data.template=plain --set data.codes=own2
"$ASVR" verify shards | head -1 >codes
says 0 0 pack "${own[@]}" --set data.template=plain --set data.codes=own2
"$ASVR" verify shards | head -1 | cmp - codes || fail "the own tower's codes depend on the number of ranks"
says 65 0 pack "${own[@]}" --set data.template=plain --set data.codes=tokenizer
blames "the codes' own tower" 'a copy of vision'
says 0 0 eval "${own[@]}" --set train.stage=tokenizer --set run.dir=own2
grep -q "^distance to the vision tower's features" out && grep -q '^energy left after depth 2' out || { cat out; fail "no distances"; }
