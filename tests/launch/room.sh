# What cannot be had is refused before it is taken, with 78, what was asked, what there is and what would fit; and a change of
# the grid that changes bits is said.
here=$(cd "$(dirname "$0")/.." && pwd)
. "$here/launch/tools.inc"

says 0 0 pack "$config" "${small[@]}"
"$ASVR" train "$config" "${small[@]}" --set run.dir=free >free.out            # it takes less than 1 GB of addresses and some 20 MiB

# limited KIB CODE RANKS ARGS...: with so many addresses
limited() { (ulimit -v "$1" && says "${@:2}"); }
# The system's libraries, MPI among them, take 0.5 GB or so of addresses before main.
few=3000000

# ---- memory: the model is too large; its tape is, and the half that the error names fits ----
large=(--set run.dir=no --set model.decoder.width=1024 --set model.decoder.ffn=4096 --set model.decoder.layers=32)
limited $few 78 0 train "$config" "${small[@]}" "${large[@]}"
blames 'the memory cannot be had' 'ulimit -v' 'of weights, gradients, moments and buckets' 'more nodes'
limited $few 78 2 train "$config" "${small[@]}" "${large[@]}"
blames 'the memory cannot be had'
long=(--set run.dir= --set model.decoder.max_len=32768 --set train.micro_batch=8)
limited $few 78 0 bench "$config" "${small[@]}" "${long[@]}" --set model.decoder.width=128
blames 'the memory cannot be had' 'of tape' 'which fits'
fits=$(sed -n 's/.*train.micro_batch = \([0-9]*\).*/\1/p' err)
[ -n "$fits" ] && [ "$fits" -lt 8 ] || { cat err; fail "no smaller micro-batch is named"; }
# No machine has this, limit or not: 8 x 1 million rows of 32 layers.
says 78 2 bench "$config" "${small[@]}" "${long[@]}" "${large[@]}" --set model.decoder.max_len=1048576
blames 'the memory cannot be had' 'MemAvailable' 'for 2 ranks of'
# Answers at once, each with keys and values of its own: those that fit are named.
says 0 0 train "$config" "${small[@]}" --set run.dir=answers --set model.decoder.max_len=4096
for verb in serve eval; do
    limited $few 78 0 $verb "$config" "${small[@]}" --set run.dir=answers --set model.decoder.max_len=4096 --set $verb.batch=1024 --set eval.tsv="$here/golden/kits/POPE.tsv"
    blames 'the memory cannot be had' "$verb.batch, model.decoder.max_len" 'for 1024 answers at once' 'which fits'
    fits=$(sed -n "s/.*$verb.batch = \([0-9]*\).*/\1/p" err)
    [ -n "$fits" ] && [ "$fits" -lt 1024 ] || { cat err; fail "$verb: no number of answers is named that fits"; }
done
limited $few 0 0 eval "$config" "${small[@]}" --set run.dir=answers --set model.decoder.max_len=4096 --set eval.batch="$fits" --set eval.tsv="$here/golden/kits/POPE.tsv"
[ ! -e no ] || fail "a refused run left something behind"

# ---- threads: 8 MiB of stack each, more than there are addresses ----
ulimit -s 8192
limited $few 78 0 train "$config" "${small[@]}" --set run.dir=no --set parallel.threads=500
blames 'the threads of a rank cannot be had' '500, from parallel.threads' '--set parallel.threads='
fits=$(sed -n 's/.*--set parallel.threads=\([0-9]*\).*/\1/p' err)
[ "$fits" -gt 1 ] && [ "$fits" -lt 500 ] || { cat err; fail "$fits threads would fit?"; }
OMP_NUM_THREADS=500 limited $few 78 2 train "$config" "${small[@]}" --set run.dir=no --set parallel.threads=0
blames 'the threads of a rank cannot be had' 'OMP_NUM_THREADS' 'its 2 ranks'
[ ! -e no ] || fail "a refused run left something behind"

# ---- other sums ----
set -- train "$config" "${small[@]}" --set run.dir=sums --set parallel.blocks=0
say() { grep -qF "$1: losses go on within a tolerance, not to the bit" out || { cat out; fail "not said: $1"; }; }
says 0 2 "$@"
says 0 2 "$@"
! grep -q tolerance out || { cat out; fail "nothing was changed"; }
says 0 2 "$@" --set parallel.reduction=fast
say 'parallel.reduction: canonical -> fast'
says 0 2 "$@" --set parallel.reduction=fast --set parallel.tp=2
say 'parallel.tp: 1 -> 2'
