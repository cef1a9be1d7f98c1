# An error of one rank ends a benchmark on all, and is printed once: each sample lies in a file of its own, and one of them is damaged.
. "$(dirname "$0")/tools.inc"

small+=(--set data.shard_samples=1 --set data.samples=24 --set data.val_samples=0 --set train.micro_batch=1 --set train.global_batch=2)
says 0 0 pack "$config" "${small[@]}"
says 0 2 bench "$config" "${small[@]}" --set model.decoder.max_len=40
grep -qE '^loader +[0-9]+ samples/s, 1 thread a rank$' out || { cat out; fail "the loader is not measured"; }
# damage FILE: one byte of the chunk of its picture, wherever that begins
damage() {
    local at
    for at in $(seq 1600 300 $(size $1)); do
        flip $1 $at
        if ! "$ASVR" verify $1 >out 2>err && grep -q 'dataset "pixels"' err; then return; fi
        flip $1 $at
    done
    fail "no byte of $1 belongs to its picture"
}
for file in shards/train-00003-*.h5 shards/train-00011-*.h5 shards/train-00017-*.h5; do
    cp $file good
    damage $file
    says 65 2 bench "$config" "${small[@]}" --set model.decoder.max_len=40
    blames $file 'byte offset'
    cp good $file
done
