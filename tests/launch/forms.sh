# JSON as people have it: every form that is read gives the samples that LLaVA's own form gives, every medium that is not read is
# named and counted, links and absolute paths lead to pictures, a broken line costs itself.
. "$(dirname "$0")/tools.inc"

{ printf 'P6 8 8 255 '; head -c 192 /dev/zero; } >black.ppm
{ printf 'P6 8 8 255 '; head -c 192 /dev/zero | tr '\0' '\377'; } >white.ppm
mkdir -p real/sub outside && ln -s real named && ln -s ../outside real/out
cp black.ppm real/a.ppm && cp white.ppm real/sub/b.ppm && cp white.ppm outside/c.ppm

says 0 0 pack "$config" "${small[@]}"           # a text model for all
small+=(--set data.source=llava --set data.images=named --set data.samples=0 --set data.val_samples=0 --set data.set=set/index.set)
# packs RANKS JSON ARGS...: the samples' fingerprint in $print
packs() {
    local ranks=$1 json=$2
    shift 2
    rm -rf set
    says 0 $ranks pack "$config" "${small[@]}" --set data.json=$json "$@"
    print=$("$ASVR" verify set/train-*.h5 | sed -n 's/^ok \([0-9a-f]*\) .*/\1/p')
    [ -n "$print" ] || fail "no fingerprint"
}

# ---- what is read ----
h() { printf '{"from": "human", "value": "%s"}, {"from": "gpt", "value": "%s"}' "$@"; }
{
    echo "[{\"id\": 1, \"image\": \"a.ppm\", \"conversations\": [$(h '<image>\nwhat is it?' 'it is black.')]},"
    for i in 2 3 4 5 6 7 8; do echo "{\"id\": $i, \"image\": [\"a.ppm\", \"sub/b.ppm\"], \"conversations\": [$(h '<image>\n<image>\nwhat are they?' 'black and white.')]},"; done
    for i in 9 10 11 12 13; do echo "{\"id\": $i, \"conversations\": [$(h 'two and two?' 4)]},"; done
    echo "{\"id\": 14, \"image\": \"sub/b.ppm\", \"conversations\": [$(h '' 'a white square')]},"
    echo "{\"id\": 15, \"conversations\": [{\"from\": \"system\", \"value\": \"be brief.\"}, $(h 'two and two?' 4)]}]"
} >plain.json
mark='"<image>\n<image>\nwhat are they?"' both='"black and white."' here=$PWD
talk="\"conversations\": [$(h '<image>\n<image>\nwhat are they?' 'black and white.')]" sum="\"conversations\": [$(h 'two and two?' 4)]"
{
    printf '\357\273\277'                        # a byte order mark, CRLF, blank lines
    cat <<J
{"id": 123456789012345678901234567890, "images": "a.ppm", "video": null, "audio": [], "conversations": [$(h '<image>\nwhat is it?' 'it is black.')]}

{"id": 1.5, "images": ["a.ppm", "sub/b.ppm"], $talk, "score": NaN, "area": [1e999, -Infinity, 18446744073709551616]}
{"image_path": ["$here/named/a.ppm", "$here/real/sub/b.ppm"], $talk}
{"image": ["./sub/../a.ppm", "out/c.ppm"], $talk}
{"images": [{"bytes": null, "path": "a.ppm"}, {"url": "file://$here/named//sub/b.ppm"}], "messages": [{"role": "user", "content": $mark}, {"role": "assistant", "content": $both}]}
{"images": ["a.ppm", "sub/b.ppm"], "messages": [{"role": "user", "content": [{"type": "image"}, {"type": "image"}, {"type": "text", "text": "what are they?"}]}, {"role": "assistant", "content": [{"type": "text", "text": $both}]}]}
{"messages": [{"role": "user", "content": [{"type": "image", "image": "a.ppm"}, {"type": "image_url", "image_url": {"url": "sub/b.ppm"}}, "what are they?"]}, {"role": "assistant", "content": $both}]}
{"img": ["a.ppm", "sub/b.ppm"], "prompt": $mark, "response": $both, "image_url": "https://example.org/a.ppm"}
{"image": "", "conversations": [{"from": "gpt", "value": "hello"}, $(h 'two and two?' 4)]}
{"image": null, "conversation": [{"from": "user", "value": "two and two?"}, {"from": "assistant", "value": 4}]}
{"question": "two and two?", "answer": 4}
{"instruction": "two and two?", "input": "", "output": "4", "x": 1, "x": {"y": "\ud800", "y": 2}}
{"conversations": "[{\"from\": \"human\", \"value\": \"two and two?\"}, {\"from\": \"gpt\", \"value\": \"4\"}]"}
{"file_name": "sub/b.ppm", "text": "a white square"}
{"system": "be brief.", "texts": [{"user": "two and two?", "assistant": "4"}]}
J
} | sed 's/$/\r/' >forms.jsonl
packs 0 plain.json
grep -q '^training .* 15 samples, 16 pictures' out && ! grep -q '^turns' out || { cat out; fail "other numbers"; }
want=$print
for ranks in 0 2; do
    packs $ranks forms.jsonl
    grep -q '^turns  *1 conversation began with an answer, which was left out' out || { cat out; fail "an answer in front is left out without a word"; }
    [ "$print" = "$want" ] || fail "$ranks ranks: the forms give other samples"
done

# text alone needs no folder of pictures; "<image>" in it is text
echo "[{$sum}, {\"image\": \"\", \"conversations\": [$(h 'what does <image> mean?' 'a picture: <image>')]}]" >text.json
packs 0 text.json --set data.images=
grep -q '^training .* 2 samples, 0 pictures' out || { cat out; fail "text is not text"; }
# pictures in any question, as marks and as parts
cat >places.jsonl <<J
{"images": ["a.ppm", "sub/b.ppm"], "conversations": [$(h 'what is this?\n<image>' black), $(h 'and <image> here?' white)]}
{"messages": [{"role": "user", "content": ["what is this?\n", {"type": "image", "image": "a.ppm"}]}, {"role": "assistant", "content": "black"}, {"role": "user", "content": ["and ", {"type": "image", "image": "sub/b.ppm"}, " here?"]}, {"role": "assistant", "content": "white"}]}
J
for i in 1 2; do
    sed -n ${i}p places.jsonl >place.jsonl
    packs 0 place.jsonl
    grep -q '^training .* 1 samples, 2 pictures' out || { cat out; fail "not two pictures"; }
    [ $i = 1 ] || [ "$print" = "$first" ] || fail "parts and marks give other samples"
    first=$print
done

# ---- what is refused: named, and with data.on_bad = "skip" counted ----
cat >media.jsonl <<J
{"video": "a.mp4", $sum}
{"image": "a.ppm", "audio": "a.wav", $sum}
{"left_image": "a.ppm", $sum}
{"image": "a.ppm", "images": ["sub/b.ppm"], $sum}
{"image_url": "https://example.org/a.ppm", $sum}
{"image": "data:image/png;base64,AAAA", $sum}
{"image": "../outside/c.ppm", $sum}
{"image": "$here/outside/c.ppm", $sum}
{"messages": [{"role": "user", "content": [{"type": "video", "video": "a.mp4"}]}]}
{"messages": [{"role": "user", "content": [{"type": "image"}]}]}
{"conversations": [{"from": "human", "value": "a"}, {"from": "human", "value": "b"}]}
{"messages": [{"role": "user", "content": "a"}, {"role": "tool", "content": "b"}]}
{"id": 17, "foo": "bar"}
{"id": 18, $sum
{"id": 19, $sum}
J
texts=('"video" names a video' '"audio" names a sound' '"left_image" looks like the name' 'different pictures' 'an address' '("data:")' 'by ".."'
       'absolute and not below' 'part of type "video"' 'does not name' 'take turns' 'from "tool"' 'without a conversation' 'the line ends in the middle')
packs 2 media.jsonl --set data.on_bad=skip
grep -q '^training .* 1 samples, 0 pictures' out && grep -q '^skipped  *14 bad samples' out || { cat out err; fail "not 14 skipped"; }
cp err said
for i in $(seq 0 13); do
    byte=$(head -n $i media.jsonl | wc -c)
    [ $i != 13 ] || byte=$((byte + $(sed -n 14p media.jsonl | wc -c) - 1))       # a cut line is wrong at its end
    grep -F -- "${texts[i]}" said | grep -q "media.jsonl: record $i, byte $byte[,)]" || { cat said; fail "not said of record $i, byte $byte: ${texts[i]}"; }
done
grep -q 'take turns.*record 10, byte [0-9]*, turn 1)' said || { cat said; fail "the turn is not named"; }
for i in 1 10; do
    sed -n "$((i + 1))p" media.jsonl >one.jsonl
    says 65 2 pack "$config" "${small[@]}" --set data.json=one.jsonl
    blames "${texts[i]}" 'one.jsonl: record 0, byte 0' 'data.on_bad = "skip"'
done

# links that lead out, where they may not
echo "{\"image\": \"out/c.ppm\", $sum}" >link.jsonl
packs 0 link.jsonl
says 65 0 pack "$config" "${small[@]}" --set data.json=link.jsonl --set data.follow_links=false
blames 'leaves the folder of pictures by a symbolic link' 'out/c.ppm' 'data.follow_links = true' 'link.jsonl: record 0, byte 0'

# a picture that is none: file and record are named; when the file behind the link changes, its shard is packed again
echo nonsense >outside/c.ppm
says 65 0 pack "$config" "${small[@]}" --set data.json=link.jsonl --set data.set=again/index.set
blames 'named/out/c.ppm' 'link.jsonl: record 0, byte 0' 'data.on_bad = "skip"'
for i in 1 2 3; do echo "{\"image\": \"sub/b.ppm\", $sum}"; done >>link.jsonl
cp black.ppm outside/c.ppm
stopped() { ASVR_FAULT=$1 "$ASVR" pack "$config" "${small[@]}" --set data.json=link.jsonl --set data.shard_samples=1 --set data.set=again/index.set >out 2>err || :; }
{ stopped 0:3:data:kill; } 2>/dev/null
[ "$(ls again/.pack-index.set/*.done | wc -l)" = 2 ] || { ls again/.pack-index.set; fail "the test is not stopped after two shards"; }
cp white.ppm outside/c.ppm
says 0 0 pack "$config" "${small[@]}" --set data.json=link.jsonl --set data.shard_samples=1 --set data.set=again/index.set
grep -q '; 1 shard of an earlier start kept' out || { cat out; fail "the shard of a changed picture is kept"; }
