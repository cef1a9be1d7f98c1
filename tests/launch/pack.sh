# A pack that is killed, stopped or fails: the older data set stays whole, what is finished is kept, the end is the same bytes.
. "$(dirname "$0")/tools.inc"

# ---- shards of many chunks: the same bytes on any number of ranks ----
for ranks in 0 2 3; do
    says 0 $ranks pack "$config" "${small[@]}" --set data.samples=9000 --set data.shard_samples=4096 --set data.set=large.$ranks/index.set
    diff -r large.$ranks large.0 || fail "$ranks ranks pack other bytes than one"
done

# ---- shards of all nine datasets, with many chunks ----
coded=(--set model.vision.image=64 --set data.samples=32 --set data.shard_samples=4096 --set run.dir=coded --set train.steps=1)
says 0 0 pack "$config" "${small[@]}" "${coded[@]}"
says 0 0 train "$config" "${small[@]}" "${coded[@]}"
for ranks in 2 4; do
    says 0 $ranks pack "$config" "${small[@]}" "${coded[@]}" --set data.val_samples=1400 --set data.codes=coded --set data.set=coded.$ranks/index.set
    diff -r coded.$ranks coded.2 || fail "$ranks ranks pack other bytes than two"
done

small+=(--set data.samples=6000 --set data.val_samples=140 --set data.shard_samples=40)
pack() { says "$1" "$2" pack "$config" "${small[@]}" "${@:3}"; }
pack 0 2
mv shards undisturbed
ASVR_FAULT=1:*:selftest:fail pack 74 2 --set data.set=refused/index.set
blames 'selftest'
[ -z "$(ls -A refused)" ] || fail "a pack that was refused leaves $(ls -A refused)"
[ -z "$(find . -name '.pack-*')" ] || fail "a finished pack leaves $(find . -name '.pack-*')"

finished() { find shards -name '*.done' 2>/dev/null | wc -l; }
# until N more shards are finished, or the pack ends
until_more() {
    local was=$(finished)
    for _ in $(seq 1000); do
        alive "$job" && [ "$(finished)" -lt $((was + $1)) ] || return 0
        sleep 0.01
    done
}

# ---- killed ten times, on 1 and 2 ranks, wherever it was ----
RANDOM=7
for n in $(seq 10); do
    begin $((n % 2 * 2)) pack "$config" "${small[@]}"
    until_more $((RANDOM % 5))
    sleep 0.0$((RANDOM % 9))
    kill -9 $(ranks) "$job" 2>/dev/null || true
    wait "$job" 2>/dev/null || true
    [ ! -e shards/index.set ] || break
done
pack 0 2
grep -qE '; [0-9]+ shards? of an earlier start kept' out || { cat out; fail "a killed pack starts from zero"; }
diff -r shards undisturbed || fail "ten kills change the bytes"
[ -z "$(find . -name '.pack-*')" ] || fail "the pack leaves $(find . -name '.pack-*')"

# ---- killed, stopped, failed over a good one ----
begin 2 pack "$config" "${small[@]}" --set data.level=2
until_more 1
kill -9 $(ranks) "$job" 2>/dev/null || true
wait "$job" 2>/dev/null || true
says 0 2 verify shards
diff -r -x '.pack-*' shards undisturbed || fail "a killed pack harms the one before it"
begin 0 pack "$config" "${small[@]}" --set data.level=2
until_more 1
kill -TERM $job
ended 75
grep -qE '^stopped on request after [0-9]+ of 6140 samples' out || { cat out; fail "not told that it stopped"; }
[ "$(finished)" -gt 0 ] || fail "nothing is kept"
diff -r -x '.pack-*' shards undisturbed || fail "a stopped pack harms the one before it"

# ---- one at a time (the second waits 3 seconds for the first to end) ----
begin 0 pack "$config" "${small[@]}" --set data.level=2 --set data.samples=300000
until_more 1
got=0
"$ASVR" pack "$config" "${small[@]}" >out2 2>err || got=$?
kill -TERM $job
ended 75
[ $got = 76 ] && grep -q 'the data set is being packed by host' err || { cat err; fail "exit $got of a second pack"; }

# ---- a damaged shard is mended by packing again ----
again=(--set data.samples=80 --set data.set=mended/index.set)
pack 0 0 "${again[@]}"
cp -r mended whole
shard=$(ls mended/train-00001-*.h5)
flip $shard $(($(size $shard) / 2))
says 65 0 verify mended
pack 0 2 "${again[@]}"
diff -r mended whole || fail "packing again does not mend a shard"

# ---- another pack begins anew, and the first set's shards go once it stands, but for those of another index ----
cp shards/index.set shards/saved.set
pack 0 2 --set data.level=2 --set data.samples=800
says 0 2 verify shards/saved.set
rm shards/saved.set
cp -r undisturbed/. shards
pack 0 2 --set data.level=2
says 0 2 verify shards/index.set
[ -z "$(ls shards undisturbed | grep h5 | sort | uniq -d)" ] || fail "shards of the older set stay"
[ -z "$(find . -name '.pack-*')" ] || fail "the pack leaves $(find . -name '.pack-*')"

# ---- pictures that changed meanwhile are read again ----
ppm() { { printf 'P6 8 8 255 '; head -c 192 /dev/zero | tr '\0' "$2"; } >"$1"; }
for n in $(seq 0 39); do
    ppm $n.ppm a
    printf '{"image": "%d.ppm", "conversations": [{"from": "human", "value": "<image>\\nwhat?"}, {"from": "gpt", "value": "thing %d"}]}\n' $n $n
done >x.json
llava=(--set data.source=llava --set data.json=x.json --set data.images=. --set data.samples=0 --set data.val_samples=0
       --set data.shard_samples=8 --set data.set=llava/index.set --set text.model=llava.model)
pack 0 0 "${llava[@]}"
mv llava before
mv 39.ppm hidden
pack 65 0 "${llava[@]}"
blames 39.ppm
mv hidden 39.ppm
[ "$(find llava -name '*.done' | wc -l)" = 0 ] || fail "records are looked at before anything is packed"
echo no >39.ppm
pack 65 0 "${llava[@]}"
[ "$(find llava -name '*.done' | wc -l)" = 4 ] || fail "what was finished is not kept"
ppm 39.ppm a
ppm 3.ppm b
pack 0 2 "${llava[@]}"
grep -q '; 3 shards of an earlier start kept' out || { cat out; fail "not the shard of the changed picture alone was made again"; }
[ "$(ls before llava | grep h5 | sort | uniq -d | wc -l)" = 4 ] || fail "not one shard differs: $(ls before llava)"
