# What one rank alone meets ends all of them, in time and with one error: files that are damaged, other, or gone on its node.
. "$(dirname "$0")/tools.inc"

small+=(--set run.dir="$PWD/run" --set train.steps=2)
says 0 2 pack "$config" "${small[@]}"
says 0 2 train "$config" "${small[@]}"
cp -r shards damaged
for f in damaged/*.h5; do flip $f $(($(size $f) / 2)); done

# apart CODE SHARDS TEXT VERB ARGS...: two ranks; the second's node has these as shards/ and text.model; a minute is the limit
apart() {
    local want=$1 got=0
    mkdir -p node
    ln -sfn "$PWD/$2" node/shards
    ln -sfn "$PWD/$3" node/text.model
    set -- "$4" "$config" "${small[@]}" "${@:5}"
    timeout --foreground -k 5 60 mpirun -n 1 "$ASVR" "$@" : -n 1 --wdir "$PWD/node" "$ASVR" "$@" >out 2>err || got=$?
    [ $got = $want ] || { cat out err; fail "$1: exit $got of ranks that see different files, expected $want"; }
}
for verb in eval spectrum; do
    apart 65 damaged text.model $verb --set parallel.tp=2
    blames 'byte offset' shards/val
    apart 65 damaged text.model $verb
    blames 'byte offset' shards/val
    apart 0 shards text.model $verb --set parallel.tp=2
done

# ---- another text model: other tokens, in silence ----
says 0 0 pack "$config" "${small[@]}" --set text.model=other.model --set run.seed=2 --set data.set=other/index.set
! cmp -s text.model other.model || fail "the text models are the same"
for verb in pack train eval; do
    apart 65 shards other.model $verb
    blames 'the ranks have opened different text models' 'on rank 1, host ' text.model
done
question=(--set chat.question="how many?" --set chat.image="$PWD/run/eval.png" --set parallel.tp=2)
apart 65 shards other.model chat "${question[@]}"
blames 'different text models'

# ---- the JSON file is another one on the second node, or not there ----
rows() { echo '['; for i in $(seq $1); do echo "{\"id\": $i, \"conversations\": [{\"from\": \"human\", \"value\": \"$2 $i?\"}, {\"from\": \"gpt\", \"value\": \"yes .\"}]},"; done
         echo '{"id": 0, "conversations": [{"from": "human", "value": "no?"}, {"from": "gpt", "value": "no ."}]}]'; }
own=(--set data.source=llava --set data.images=. --set data.val_samples=2 --set data.json=own.json --set data.set="$PWD/own/index.set")
rows 40 'is it' >own.json
own() {                                         # CODE
    local got=0
    set -- "$1" pack "$config" "${small[@]}" "${own[@]}"
    timeout --foreground -k 5 60 mpirun -n 1 "$ASVR" "${@:2}" : -n 1 --wdir "$PWD/node" "$ASVR" "${@:2}" >out 2>err || got=$?
    [ $got = $1 ] || { cat out err; fail "exit $got of ranks that see different JSON files, expected $1"; }
}
ln -sfn "$PWD/text.model" node/text.model
for n in 300 7; do
    rows $n 'is it' >node/own.json
    own 65
    blames 'the ranks have opened different JSON files' 'own.json' 'on rank 1'
done
for text in '[' '' '{"a": 1}'; do
    printf '%s' "$text" >node/own.json
    own 65
    blames own.json
done
rm node/own.json
own 65
blames own.json 'No such file'
cp own.json node
own 0
