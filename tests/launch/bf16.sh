# train.compute = "bf16": refused in words where the processor has no such products; where it has: near fp32, the same bits on any number of
# threads and replicas, resumed to the bit, and one run for good.
. "$(dirname "$0")/tools.inc"

small+=(--set train.micro_batch=2 --set train.steps=20 --set train.lr=2e-3)
says 0 1 pack "$config" "${small[@]}"
set -- "$config" "${small[@]}" --set train.compute=bf16

refused() {                                     # RANKS CONFIG...: one error, in words, and nothing left behind
    says 78 "$@" --set run.dir=no
    blames 'there are no bf16 products here' 'train.compute = "fp32"'
    [ ! -e no ] || fail "a refused run left something behind"
}
if ! "$ASVR" train "$@" --set run.dir=first >out 2>err; then
    refused 0 train "$@"
    echo "not tested here: $(grep -o 'this pro.*' err)"
    exit 0
fi
grep -qE 'linear layers multiply in bf16 by (AVX512-BF16|AMX)' out || { cat out; fail "it does not say what it computes in"; }
for isa in AVX2 AVX512_CORE; do                 # oneDNN would emulate on the latter
    DNNL_MAX_CPU_ISA=$isa refused 2 train "$@"
    grep -qF 'no instructions for bf16' err || fail "the error does not say why"
done

# ---- any number of threads and replicas, ZeRO or not, AdamW or Muon: the same bits ----
fingerprint() { "$ASVR" verify "$1/ckpt/step-00000020" | cut -d' ' -f2; }
alike() { same_losses $1 $2; [ "$(fingerprint $1)" = "$(fingerprint $2)" ] || fail "the weights of $1 and $2 differ"; }
[ "$(column loss_hex first | cut -d' ' -f2 | sort -u | wc -l)" = 20 ] || fail "the loss does not move"
for threads in 2 4; do
    says 0 0 train "$@" --set run.dir=threads.$threads --set parallel.threads=$threads
    alike first threads.$threads
done
for ranks in 2 4; do
    says 0 $ranks train "$@" --set run.dir=ranks.$ranks --set parallel.zero=$((ranks / 2 - 1))
    alike first ranks.$ranks
done
says 0 0 train "$@" --set run.dir=muon.1 --set train.optimizer=muon
says 0 2 train "$@" --set run.dir=muon.2 --set train.optimizer=muon
alike muon.1 muon.2

# ---- stopped and resumed: as if never ----
begin 2 train "$@" --set run.dir=stopped
at_step 6 stopped
kill -USR1 $job
ended 75
says 0 0 train "$@" --set run.dir=stopped
alike first stopped
[ "$(column dp stopped | cut -d' ' -f2 | uniq | tr '\n' ' ')" = '2 1 ' ] || fail "it was not stopped half-way"

# ---- near fp32: a rounding is 2^-8 of a number at most, and this model's loss has some hundred of them averaged in each token; in 20 steps
#      both runs drift apart by what the rounded gradients differ.  A hundredth is a wrong product ----
says 0 0 train "$config" "${small[@]}" --set run.dir=fp32
paste -d' ' <(column loss first) <(column loss fp32) | awk '
    { d = $2 / $4 - 1; if (d < 0) d = -d; if (d > most) most = d; if ($1 != $3) exit 1; first = first ? first : $4; last = $4 }
    END { printf "largest relative difference of the loss: %g\n", most; exit !(NR == 20 && most > 1e-7 && most < 1e-2 && last < 0.9 * first) }' ||
    { paste <(column loss first) <(column loss fp32); fail "bf16 is not near fp32, or is it, or nothing is learned"; }
says 0 0 eval "$@" --set run.dir=first          # in fp32: what eval says does not depend on how a run was trained
cp first/eval.json by_bf16.json
says 0 0 eval "$config" "${small[@]}" --set run.dir=first
cmp -s by_bf16.json first/eval.json || fail "eval heeds train.compute"

# ---- another run ----
says 78 0 train "$config" "${small[@]}" --set run.dir=first --set train.compute=fp32 --set train.steps=21
blames 'train.compute: "bf16" -> "fp32"'
