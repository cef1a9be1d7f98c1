# Everything a user can get wrong is one clear block with the documented exit code, on one rank and on two, and leaves
# nothing half-written.
. "$(dirname "$0")/tools.inc"

small+=(--set run.dir=run)
llava=(--set data.source=llava --set data.json=x.json --set data.images=. --set model.decoder.vocab=300 --set text.model=none/text.model)
half_written() { find . -path './ompi*' -prune -o \( -name '*.tmp' -o -name '.tmp-*' -o -name '*.corpus' -o -name '*.h5' -size -1k \) -print 2>/dev/null; }
clean() { [ -z "$(half_written)" ] || fail "half-written: $(half_written)"; }
# bad CODE VERB TEXT... -- ARGS...: on one rank and on two
bad() {
    local code=$1 verb=$2 texts=()
    shift 2
    while [ "$1" != -- ]; do texts+=("$1"); shift; done
    shift
    for n in 0 2; do
        says $code $n $verb "$config" "${small[@]}" "$@"
        blames "${texts[@]}"
        clean
    done
}

# ---- the configuration ----
bad 78 train 'no key "train.lrr"' 'did you mean train.lr?' -- --set train.lrr=1
bad 78 train train.steps 'ten' -- --set train.steps=ten
bad 78 train train.global_batch 'micro_batch' -- --set train.global_batch=6
says 78 0 train none.cfg
blames none.cfg
printf 'run: {\n dir = 3; sede = 1;\n};\n' >two.cfg
says 78 2 train two.cfg
[ "$(grep -c '^asvr: error' err)" -ge 2 ] && grep -q 'two.cfg:2' err || { cat err; fail "not all errors of two.cfg, with their line"; }

# ---- data that is not there, or not what it should be ----
bad 65 train 'no such text model' 'text.model' 'asvr pack' --
says 0 2 pack "$config" "${small[@]}"
bad 65 train 'index cannot be opened' 'none/index.set' 'asvr pack' -- --set data.set=none/index.set
bad 65 train 'no shard has this name' 'none/*.h5' 'asvr pack' -- --set data.set= --set "data.shards=none/*.h5"
bad 78 train 'data.set and data.shards are both set' -- --set data.shards=x
bad 78 pack 'names several' -- --set data.set=a,b
bad 65 train 'another vision tower' 'patches of 8' -- --set model.vision.patch=16
cp text.model first.model
says 0 0 pack "$config" "${small[@]}" --set text.model=other.model --set run.seed=9 --set data.set=other/index.set
says 0 0 pack "$config" "${small[@]}" --set data.set=bare/index.set --set data.val_samples=0
bad 65 train 'another text model' -- --set text.model=other.model
bad 78 train 'vocabulary' 'pieces' -- --set model.decoder.vocab=100
echo "not an index" >no.set
bad 65 train 'no.set' 'no index' -- --set data.set=no.set
bad 65 train 'differs from' 'text_model' -- --set data.set=shards/index.set,other/index.set
bad 65 eval 'no samples for evaluation' -- --set data.set=bare/index.set

# ---- pack: JSON and pictures ----
picture='P6 8 8 255 '
{ printf '%s' "$picture"; head -c 192 /dev/zero; } >good.ppm
turns='"conversations": [{"from": "human", "value": "<image>\nwhat is it?"}, {"from": "gpt", "value": "a thing"}]'
record() { printf '{"id": "%s", "image": "%s", %s}' "$1" "$2" "$turns"; }
record 1 good.ppm | sed 's/^/[/; s/$/]/' >x.json
says 0 0 pack "$config" "${small[@]}" --set data.source=llava --set data.json=x.json --set data.images=. --set data.val_samples=0 \
     --set data.set=one/index.set
llava+=(--set text.model=text.model --set model.decoder.vocab=768 --set data.val_samples=0 --set data.set=packed/index.set)
packs() { bad "$@"; [ -z "$(ls packed 2>/dev/null)" ] || fail "a bad pack left $(ls packed)"; }

echo '[]' >x.json
packs 65 pack 'no records' x.json -- "${llava[@]}"
packs 65 pack 'good.json' -- "${llava[@]}" --set data.json=good.json
packs 65 pack 'folder of pictures' nowhere -- "${llava[@]}" --set data.images=nowhere
{ echo '['; record 1 good.ppm; echo ','; record 2 good.ppm | head -c 60; } >x.json
packs 65 pack x.json 'record 1' -- "${llava[@]}"
{ echo '['; record 1 good.ppm; echo ','; record 2 gone.png; echo ']'; } >x.json
packs 65 pack 'a picture is missing' gone.png 'record 1' -- "${llava[@]}"
echo 'this is a text, whatever its name says' >text.jpg
{ echo '['; record 1 good.ppm; echo ','; record 2 text.jpg; echo ']'; } >x.json
packs 65 pack text.jpg -- "${llava[@]}"
{ echo '['; record 1 good.ppm; echo ','; record 2 good.ppm | sed 's/<image>/<image><image>/'; echo ']'; } >x.json
packs 65 pack '<image>' 'record 1' -- "${llava[@]}"
# a PNG cut in the middle: the shortest way to one is eval's contact sheet
says 0 0 train "$config" "${small[@]}"
says 0 0 eval "$config" "${small[@]}"
head -c $(($(size run/eval.png) / 2)) run/eval.png >half.png
{ echo '['; record 1 good.ppm; echo ','; record 2 half.png; echo ']'; } >x.json
packs 65 pack half.png -- "${llava[@]}"
# passed over, counted, and said
says 0 2 pack "$config" "${small[@]}" "${llava[@]}" --set data.on_bad=skip
grep -q '1 samples' out && grep -q 'skipped   1 bad' out && grep -q 'warning: sample 1 is skipped: .*half.png' err ||
    { cat out err; fail "a bad picture is not passed over as it should be"; }
clean

# ---- a damaged shard ----
cp -r shards good
shard=$(ls shards/train-00000-*.h5)
flip $shard $(($(size $shard) / 2))
for ranks in 0 2; do
    says 65 $ranks verify shards
    blames $shard 'byte offsets'
done
says 65 0 verify $shard
blames $shard 'byte offset'
bad 65 train $shard 'byte offset' -- --set run.dir=damaged
says 0 2 train "$config" "${small[@]}" --set run.dir=skipping --set data.on_bad=skip
grep -q 'warning: step [0-9]*: sample [0-9]* is skipped: ' err || { cat err; fail "samples are skipped in silence"; }
[ "$(wc -l <skipping/run.jsonl)" = 6 ] || fail "the run did not go on"
truncate -s -100 $shard
bad 65 train $shard 'not the shard that the index means' -- --set run.dir=damaged2
rm -r shards && mv good shards

# ---- checkpoints of another model, shards of another tokenizer ----
bad 78 train 'another configuration' 'model.decoder.layers: 2 -> 1' 'run/config.cfg' -- --set model.decoder.layers=1
bad 78 train 'train.lr: 0.002 -> 0.003' -- --set train.lr=3e-3
bad 65 train 'tensor "' 'the model wants' 'hint' -- --set run.dir=wide --set train.init=run --set model.decoder.width=128
bad 65 eval 'the model wants' -- --set model.decoder.width=128
bad 74 train 'no such folder' nowhere -- --set run.dir=wide --set train.init=nowhere
says 0 0 pack "$config" "${small[@]}" --set data.codes=run --set data.set=coded/index.set
bad 65 train 'another tokenizer' 'tokenizer ' -- --set run.dir=codes --set run.seed=2 --set data.set=coded/index.set
cp good.ppm noise.png
bad 65 chat none.png -- --set chat.image=none.png --set chat.question=what
bad 65 chat text.jpg -- --set chat.image=text.jpg --set chat.question=what

# ---- picture decoders of another version: not called, and said ----
root=$(dirname "$(dirname "$config")")
mkdir old
cp "$ASVR" old/asvr
printf '#include "io/image/image.h"\nconst ImageOps asvr_image_ops = { .version = IMAGE_VERSION + 1, .size = sizeof(ImageOps) };\n' |
    ${CC:-cc} -x c -std=c11 -I"$root" -shared -fPIC -o old/asvr-image.so -
ASVR=old/asvr bad 78 chat 'another version of asvr' old/asvr-image.so 'expected  version' 'got ' -- --set chat.image=run/eval.png --set chat.question=what

# ---- places that cannot be written ----
: >file
bad 74 train 'file' -- --set run.dir=file/run
bad 74 pack 'file' -- --set data.set=file/index.set
bad 74 train '/proc' -- --set run.dir=/proc/asvr

# ---- two jobs on one run: the second is refused at once and harms nothing ----
begin 0 train "$config" "${small[@]}" --set run.dir=shared --set train.steps=2000
at_step 3 shared
cp out first.out
for n in 0 2; do
    got=0
    if [ $n = 0 ]; then "$ASVR" train "$config" "${small[@]}" --set run.dir=shared --set train.steps=2000 >out2 2>err || got=$?
    else mpirun -n $n "$ASVR" train "$config" "${small[@]}" --set run.dir=shared --set train.steps=2000 >out2 2>err || got=$?; fi
    [ $got = 76 ] || { cat err; fail "exit $got of a second job"; }
    blames 'in use by' "process $job"
done
alive "$job" || fail "the second job was refused only when the first had ended"
kill -USR1 $job
ended 75
[ "$(column world shared | cut -d' ' -f1 | sort -n | uniq -d)" = "" ] || fail "the second job wrote into the first one's log"
clean
