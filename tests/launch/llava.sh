# A user's own pictures: PPM, PNG and JPEG of mixed sizes, captions, text without picture, several pictures in a sample.
. "$(dirname "$0")/tools.inc"

# ---- pictures: one colour each, 20 x 12 to 77 x 60 ----
mkdir -p own/sub
ppm() {                                         # FILE WIDTH HEIGHT RED GREEN BLUE
    { printf 'P6 %d %d 255\n' $2 $3; yes "$(printf '\\%03o\\%03o\\%03o' $4 $5 $6)" | head -n $(($2 * $3)) | tr -d '\n' | xargs -0 printf; } >"$1"
}
records=0 pictures=0
record() {                                      # IMAGES(JSON, or "") QUESTION ANSWER
    [ $records = 0 ] || echo ','
    printf '{"id": %d, %s"conversations": [{"from": "human", "value": "%s"}, {"from": "gpt", "value": "%s"}]}' \
        $records "${1:+\"image\": $1, }" "$2" "$3"
    records=$((records + 1))
}
{
    echo '['
    n=0
    for size in "20 12" "32 32" "12 20" "48 31" "33 64" "77 60"; do
        for colour in "red 220 30 30" "green 30 190 40" "blue 30 50 220"; do
            set -- $size $colour
            ppm own/sub/$n.ppm $1 $2 $4 $5 $6
            record "\"sub/$n.ppm\"" '<image>\nwhat colour is it?' "it is $3 ."
            n=$((n + 1))
        done
    done
    base64 -d >own/two.png <<'P'
iVBORw0KGgoAAAANSUhEUgAAABgAAAAQCAIAAACDRijCAAAAIklEQVR42mM8YaPBQAgkiCwgqIaJgUpg1KBRg0YNGqkGAQBnNgJgXckSjAAAAABJRU5ErkJggg==
P
    base64 -d >own/grey.jpg <<'P'
/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABsSFBcUERsXFhceHBsgKEIrKCUlKFE6PTBCYFVlZF9VXVtqeJmBanGQc1tdhbWGkJ6jq62rZ4C8ybqmx5moq6T/wAALCAAQABgBAREA/8QAFgABAQEA
AAAAAAAAAAAAAAAAAgME/8QAFhABAQEAAAAAAAAAAAAAAAAAAANB/9oACAEBAAA/AM4UwFgpgP/Z
P
    record '"two.png"' 'what colours are they?' 'red and blue .'
    record '"grey.jpg"' '<image>\nwhat colour is it?' 'it is grey .'
    record '["sub/0.ppm", "sub/1.ppm"]' '<image>\n<image>\nare they the same?' 'no , they are not .'
    record '["sub/0.ppm", "sub/3.ppm"]' '<image> and <image>: are they the same?' 'yes , they are .'
    record '' 'what is the colour of the sky?' 'it is blue .'
    record '' 'and of grass? \u00fc \"' 'it is green .'
    record '"sub/4.ppm"' '<image>\nwhat colour is it?' 'it is green .'
    record '' 'what is the colour of the sea?' 'it is blue .'
    record '["sub/2.ppm", "two.png", "grey.jpg"]' 'how many pictures are there?' 'three .'
    echo ']'
} >own.json
[ "$(wc -c <own/sub/17.ppm)" -gt $((77 * 60 * 3)) ] || fail "the test cannot draw"

small+=(--set data.source=llava --set data.json=own.json --set data.images=own --set data.samples=0 --set data.val_samples=3
        --set train.steps=24 --set train.lr=5e-3)
for template in v1 plain; do
    run=(--set run.dir=$template --set data.template=$template --set data.set=$template/index.set)
    says 0 2 pack "$config" "${small[@]}" "${run[@]}"
    grep -q '^training .* 24 samples, 26 pictures' out && grep -q '^held out .* 3 samples, 2 pictures' out ||
        { cat out; fail "other numbers of samples or pictures"; }
    "$ASVR" verify $template >two_ranks
    says 0 0 pack "$config" "${small[@]}" "${run[@]}"
    "$ASVR" verify $template | head -1 | cmp - <(head -1 two_ranks) || fail "what is packed depends on the number of ranks"
    says 0 2 train "$config" "${small[@]}" "${run[@]}"
    [ ! -s err ] || { cat err; fail "train complained"; }
    column loss_text $template | awk 'NR == 1 { first = $2 } { last = $2 } END { exit !(last < 0.9 * first) }' ||
        { column loss_text $template; fail "$template: the loss does not fall"; }
    says 0 2 eval "$config" "${small[@]}" "${run[@]}"
    grep -q '"tasks": {}' $template/eval.json && grep -q '^text loss [0-9]' out || { cat out; fail "eval of shards without tasks"; }
done

# Pictures of a batch alone: a micro-batch without any, and one with three in one sample.
says 0 2 train "$config" "${small[@]}" --set run.dir=ones --set data.set=v1/index.set --set train.micro_batch=1 --set train.global_batch=4

for picture in own/grey.jpg own/two.png own/sub/17.ppm; do
    says 0 0 chat "$config" "${small[@]}" --set run.dir=v1 --set chat.image=$picture --set chat.question="what colour is it?"
    grep -q '[a-z]' out || fail "no answer about $picture"
done
says 0 0 chat "$config" "${small[@]}" --set run.dir=v1 --set chat.image=own/sub/0.ppm --set chat.question='<image> what colour?'
says 65 0 chat "$config" "${small[@]}" --set run.dir=v1 --set chat.image=own/sub/0.ppm --set chat.question='what colour?' --set data.max_pixels=239
blames 'picture is 20 x 12' 'data.max_pixels = 239'
