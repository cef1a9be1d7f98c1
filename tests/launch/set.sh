# A data set is one thing: what a run is trained on is its contents, wherever they lie; what is not that is refused and named.
. "$(dirname "$0")/tools.inc"

small+=(--set run.dir=run --set train.steps=12 --set ckpt.every=4 --set ckpt.keep=9)
train() { says "$1" "$2" train "$config" "${small[@]}" "${@:3}"; }
says 0 2 pack "$config" "${small[@]}"
train 0 0 --set run.dir=whole
half() { rm -rf run; cp -r whole run; rm -r run/ckpt/step-00000012 run/ckpt/step-00000008; sed -i '5,$d' run/run.jsonl; }

# ---- packed again with other pictures of equal number: refused, with the difference ----
half
cp -r shards first
says 0 0 pack "$config" "${small[@]}" --set data.level=2
[ "$(ls shards | wc -l)" = 4 ] || fail "the older shards stay: $(ls shards)"
train 78 2
blames 'another data set' 'data.level: "1" -> "2"' 'run/ckpt/step-00000004'
rm -r shards && mv first shards

# ---- moved elsewhere, and the text model: the same run to the last bit ----
mkdir -p other/scratch && mv shards other/scratch/data && mv text.model other/words.model
train 0 2 --set data.set=other/scratch/data/index.set --set text.model=other/words.model
same_losses run whole
mv other/scratch/data shards && mv other/words.model text.model

# ---- shards under each other's names, one missing, one cut: refused before the first step ----
half
cp -r shards good
set -- shards/train-*.h5
mv $1 x && mv $2 $1 && mv x $2
train 65 2
blames 'not the shard that the index means' "$1" 'fingerprint'
says 65 2 verify shards
rm $1
train 65 0
blames 'cannot be opened' "$1"
train 0 2 --set data.on_bad=skip --set run.dir=missing
grep -q 'cannot be opened.*its samples will be skipped' err && [ "$(wc -l <missing/run.jsonl)" = 12 ] || { cat err; fail "a missing shard under skip"; }
rm -r shards && mv good shards

# apart A B ARGS...: two ranks whose nodes have A and B as shards/
apart() {
    for n in 0 1; do mkdir -p node$n && ln -sfn "$PWD/text.model" node$n/text.model; done
    ln -sfn "$PWD/$1" node0/shards
    ln -sfn "$PWD/$2" node1/shards
    shift 2
    mpirun -n 1 --wdir "$PWD/node0" "$ASVR" train "$config" "${small[@]}" "$@" : \
           -n 1 --wdir "$PWD/node1" "$ASVR" train "$config" "${small[@]}" "$@" >out 2>err
}

# ---- ranks that see different files: on dp and on tp, refused and named ----
says 0 0 pack "$config" "${small[@]}" --set data.set=level2/index.set --set data.level=2
for tp in 1 2; do
    got=0
    apart shards level2 --set run.dir="$PWD/run" --set parallel.tp=$tp || got=$?
    [ $got = 65 ] || { cat err; fail "tp $tp: exit $got of ranks with different data"; }
    blames 'the ranks have opened different data sets' 'on rank 1, host ' 'shards/index.set'
done

# ---- a copy that is damaged where one rank alone reads it ----
cp -r shards copy
for f in copy/train-*.h5; do flip $f $(($(size $f) / 2)); done
train 0 2 --set run.dir=tp --set parallel.tp=2
apart shards copy --set run.dir="$PWD/tp.other" --set parallel.tp=2 || { cat err; fail "a replica reads by more than one rank"; }
same_losses tp tp.other
apart copy shards --set run.dir="$PWD/tp.skip" --set parallel.tp=2 --set data.on_bad=skip || { cat out err; fail "ranks of a replica do not agree on a bad sample"; }
grep -q 'is skipped: ' err && [ "$(wc -l <tp.skip/run.jsonl)" = 12 ] || { cat err; fail "no sample was skipped"; }
apart shards copy --set run.dir="$PWD/dp.skip" --set data.on_bad=skip || { cat out err; fail "replicas do not agree on a bad sample"; }
grep -q 'is skipped: ' err || fail "no sample was skipped"
if apart copy shards --set run.dir="$PWD/tp.fail" --set parallel.tp=2; then fail "a damaged chunk was taken"; fi
blames shards/train 'byte offset'

# ---- other weights to start from are another run; the same elsewhere, or gone, are not ----
from=(--set run.dir=next --set train.init=run --set train.steps=8)
half
train 0 0 "${from[@]}" --set train.schedule=constant
rm -r next/ckpt/step-00000008
mv run elsewhere
train 0 0 "${from[@]}" --set train.schedule=constant --set train.init=elsewhere
rm -r next/ckpt/step-00000008
train 0 0 "${from[@]}" --set train.schedule=constant
rm -r next/ckpt/step-00000008
train 0 0 --set run.seed=5
train 78 2 "${from[@]}" --set train.schedule=constant
blames 'started from other weights' 'fingerprint' 'run, which has no such checkpoint'

# ---- passes over the data ----
epochs=(--set run.dir=epochs --set train.steps=0)
train 78 0 "${epochs[@]}" --set train.epochs=0.1
blames 'do not fill a single batch' 'train.global_batch = 8' '0.1 passes over 48'
train 0 0 "${epochs[@]}" --set train.epochs=1.25
grep -q 'the last 4 samples fill no batch and are left out' out && [ "$(wc -l <epochs/run.jsonl)" = 7 ] || { cat out; fail "drop"; }
train 0 0 "${epochs[@]}" --set run.dir=wrap --set train.epochs=1.25 --set data.last=wrap
grep -q 'filled with 4 samples of the next pass' out && [ "$(wc -l <wrap/run.jsonl)" = 8 ] || { cat out; fail "wrap"; }

# ---- two sets by weight; threads that read; raw pixels: numbers that do not depend on who does it ----
mix=(--set data.set=shards/index.set:3,level2:1)
train 0 0 "${mix[@]}" --set run.dir=mix
train 0 2 "${mix[@]}" --set run.dir=mix.2 --set data.threads=3
same_losses mix mix.2
! diff <(column loss_hex whole) <(column loss_hex mix) >/dev/null || fail "the second set is not read"
train 78 0 --set run.dir=mix --set data.set=shards,level2
blames 'another data set'
says 0 2 eval "$config" "${small[@]}" "${mix[@]}" --set run.dir=mix --set eval.samples=9
grep -q '^step 12, 9 samples' out || { cat out; fail "eval of two sets"; }
says 0 2 pack "$config" "${small[@]}" --set data.set=raw/index.set --set data.store=raw
train 0 0 --set run.dir=raw.run --set data.set=raw/index.set
same_losses whole raw.run
