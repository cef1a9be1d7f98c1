# data.sh -- rows 8, 12, 16 and 20 to 25: data that are damaged, missing, hostile or another's; wrong configurations

own_data() { rm data; cp -r "$base/data" data; }
a_shard() { ls data/train-*.h5 | sed -n "$((1 + $(draw 3)))p"; }
# RANKS DAMAGE: with data.on_bad = "fail": named, or, where nobody reads it, without effect; verify finds it in any case
bad_shard() {
    local f
    own_data
    f=$(a_shard)
    if [ "$2" = gone ]; then rm "$f"; else "$tools/corrupt" "$f" "$RANDOM" "$2" || { [ $? = 2 ] && return 0; }; fi
    says 65 "$1" verify data/index.set
    once
    blames "$(basename "$f")"
    train '0|65' "$1"
    if [ $code = 0 ]; then like_whole; else once; blames "$(basename "$f")"; fi
    [ "$2" != gone ] || [ $code = 65 ] || said 'a shard is missing, and nobody says so'
    # Mended, the run goes on.
    rm -r data && ln -s "$base/data" data
    goes_on "$(pick 1 2)"
}
# Stored bytes of a chunk, damaged: with "skip" all replicas go on alike, and say which samples.
skipped_sample() {
    local f
    own_data
    f=$(a_shard)
    "$tools/corrupt" "$f" "$RANDOM" fill
    train '0|65' 1 --set data.on_bad=skip
    [ $code = 65 ] && { once; return 0; }                  # not a sample's bytes but the shard's own: the shard is not to be read
    ! grep -q 'is skipped' err || grep -qE 'step [0-9]+: sample [0-9]+ is skipped' err || said 'which sample?'
    column loss_hex run >one
    mv run run.one
    for n in 2 4; do
        train 0 $n --set data.on_bad=skip
        column loss_hex run | diff one - || fail "$n replicas skip otherwise"
        rm -r run
    done
}
# A shard of another data set under the name of one of ours.
replaced() {
    own_data
    says 0 0 pack "$config" "${small[@]}" --set run.seed=9 --set data.set=other/index.set --set text.model=other.model
    cp "$(ls other/train-*.h5 | head -n 1)" "$(a_shard)"
    train 65 "$1"
    once
    blames train-
}
row_8() {
    row 8 'shard flipped, cut, missing, another set'"'"'s'
    for i in $(seq "$(times 1 10)"); do
        for d in flip flip zero swap fill cut cut:0 grow gone; do trial "$d" bad_shard "$(pick 1 2)" $d; done
        for k in $(seq "$(times 2 4)"); do trial skip skipped_sample; done
        for n in 1 2; do trial "another's" replaced $n; done
    done
    rm -rf "$work/flips" && cp -r "$base/data" "$work/flips"
    flips 'bits of shards and index' "$work/flips/index.set"
}

# ---- row 12 ----

# Every fourth record has a picture; with one sample a micro-batch most ranks have none.
mixed() {
    local i
    { printf 'P6 8 8 255 '; head -c 192 /dev/zero | tr '\0' 'x'; } >p.ppm
    { echo '['
      for i in $(seq 32); do
          [ "$i" = 1 ] || echo ,
          printf '{"id": %d, %s"conversations": [{"from": "human", "value": "%swhat is number %d?"}, {"from": "gpt", "value": "it is %d ."}]}' \
              "$i" "$([ $((i % 4)) = 0 ] && printf '"image": "p.ppm", ')" "$([ $((i % 4)) = 0 ] && printf '<image>\\n')" "$i" "$i"
      done
      echo ']'; } >own.json
    rm data text.model
    mix=(--set data.source=llava --set data.json=own.json --set data.images=. --set data.samples=0 --set data.val_samples=0
         --set train.steps=12 --set train.micro_batch=1 "$@")
    says 0 0 pack "$config" "${small[@]}" "${mix[@]}"
}
# The right mean, whoever holds what.
without_images() {
    local n
    mixed "$@"
    train 0 1 "${mix[@]}"
    column loss_hex run >one
    rm -r run
    for n in 2 4; do
        train 0 $n "${mix[@]}"
        column loss_hex run | diff one - || fail "$n replicas, other losses"
        rm -r run
    done
}
# Malformed samples become empty ones: of eight ranks' worth some have nothing to teach.
contrast_skips() {
    own_data
    for f in data/train-*.h5; do "$tools/corrupt" "$f" "$RANDOM" fill:$((20000 + $(draw 4000))); done
    train '0|65' 1 --set data.on_bad=skip --set train.stage=contrast --set train.steps=10
    [ $code = 65 ] && { once; return 0; }
    column loss_hex run >one
    rm -r run
    train 0 2 --set data.on_bad=skip --set train.stage=contrast --set train.steps=10
    column loss_hex run | diff one -
}
no_pictures() {
    mixed
    sed -i 's/"image": "p.ppm", //; s/<image>\\n//' own.json
    rm -r data
    says '0|65|78' 0 pack "$config" "${small[@]}" "${mix[@]}"
    train '65|78' "$1" "${mix[@]}" --set train.stage=contrast
    once
}
row_12() {
    row 12 'a rank without a sample, or without an image'
    trial 'few pictures' without_images
    trial 'few pictures, appearance' without_images --set train.supervision=none
    for i in $(seq "$(times 2 10)"); do trial 'contrast skips' contrast_skips; done
    for n in 1 2; do trial 'contrast without pictures' no_pictures $n; done
}

# ---- row 16 ----

# RANKS TEXT KEY=VALUE...: refused, the difference named, nothing changed
another_run() {
    local n=$1 text=$2 sets=()
    shift 2
    stopped_run
    cp -r run was
    for s; do sets+=(--set "$s"); done
    train 78 "$n" "${sets[@]}"
    once
    blames "$text"
    diff -r -x .lease was run || fail 'a refused start changed something'
    goes_on 1
}
other_set() {
    says 0 0 pack "$config" "${small[@]}" --set run.seed=9 --set data.set=other/index.set
    another_run "$1" 'another data set' data.set=other/index.set
}
# What changes the bits without being another run is said.
other_reduction() {
    stopped_run 2
    train '0|78' 2 --set parallel.reduction=fast
    grep -q '^parallel.reduction: canonical -> fast' out || said 'nobody says that the bits change'
}
row_16() {
    row 16 'resume with another batch, length, data set'
    for n in 1 2; do
        trial batch another_run $n train.global_batch train.global_batch=16
        trial length another_run $n model.decoder.max_len model.decoder.max_len=256
        trial rate another_run $n train.lr train.lr=1e-3
        trial seed another_run $n run.seed run.seed=2
        trial stage another_run $n train.stage train.stage=pretrain
        trial 'data set' other_set $n
    done
    trial reduction other_reduction
}

row_20() { row 20 'bad configuration'; program launch/config launch/bad; }
row_21() { row 21 'bad JSON'; cases io/source/test_llava io/source/test_lines io/source/test_slices io/base/test_json; program launch/llava; }
row_22() { row 22 'hostile images'; cases io/image/test_image; }
row_23() { row 23 'hostile safetensors'; cases io/hf/test_safetensors; }
row_24() {
    row 24 'hostile zstd frame, hostile shard header'
    cases io/set/test_damage io/set/test_index
    rm -rf "$work/flips" && cp -r "$base/data" "$work/flips"
    flips 'bits of shards and index' "$work/flips/index.set"
}
# Products beyond 31 or 63 bits, and what no machine has: one block with the number, at once.
too_large() {
    local sets=()
    for s; do sets+=(--set "$s"); done
    limit=30 says 78 0 train "$config" "${small[@]}" --set run.dir=run "${sets[@]}"
    grep -q '^asvr: error: ' err && grep -qE '[0-9]{2,}' err || said 'no number'
    [ ! -e run/run.jsonl ] || fail 'a refused run left something behind'
}
row_25() {
    row 25 'sizes that overflow, memory that cannot be had'
    trial heads too_large model.decoder.width=1048576 model.decoder.heads=4 model.decoder.ffn=2147483644
    trial vocab too_large model.decoder.vocab=2147483644
    trial batch too_large train.global_batch=2147483640 train.micro_batch=1073741820
    trial length too_large model.decoder.max_len=2147483647
    trial tape too_large train.global_batch=65536 train.micro_batch=65536
    trial threads too_large parallel.threads=4096
    trial layers too_large model.decoder.layers=1000000
    trial codes too_large model.codes.size=65536 model.codes.depth=64 model.head.width=65536
    cases core/test_arena core/test_slice
}
