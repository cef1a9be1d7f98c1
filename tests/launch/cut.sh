# The paper's backbones cut down, each with what is particular to it: heads of 72 and a dropped remainder of the picture
# in the tower, four and seven query heads to a key head, biases, templates.  They pack, learn, and are evaluated.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/tools.inc"
cut=$(dirname "$config")/cut
few=(--set data.samples=48 --set data.val_samples=14 --set train.steps=6 --set chat.max_new=4 --set parallel.threads=1)

# falls KEY RUN: the last of a run's values is below the first; all are finite
falls() {
    column "$1" "$2" | awk '!($2 > 0 && $2 < 1e4) { bad = 1 } NR == 1 { first = $2 } { last = $2 }
                            END { exit bad || NR != 6 || last >= 0.98 * first }' ||
        { column "$1" "$2"; fail "$2: $1 does not fall"; }
}

for path in "$cut"/*.cfg; do
    name=$(basename "$path" .cfg)
    run=runs/cut/$name
    says 0 0 pack "$path" "${few[@]}"
    says 0 2 train "$path" "${few[@]}"
    falls loss "$run"
    if [ "$name" != siglip ]; then
        falls loss_text "$run"
        falls loss_visual "$run"
        says 0 0 eval "$path" "${few[@]}"
        grep -q '^mean ' out && [ -s "$run/eval.json" ] || { cat out; fail "$name: eval shows no table"; }
    fi
    says 0 0 verify "$run/ckpt/step-00000006"
done

# The cut models are the large ones' shape: the same query heads to a key head, biases, rotary base, epsilon and tower.
shape() { "$ASVR" help config "$1" | awk '
    $1 == "vision:" || $1 == "decoder:" || $1 == "codes:" || $1 == "head:" { group = $1 }
    { gsub(/;/, "", $3); v[group $1] = $3 }
    END { print v["vision:width"] / v["vision:heads"], v["vision:image"] % v["vision:patch"], v["vision:select_layer"],
                v["decoder:heads"] / v["decoder:kv_heads"], v["decoder:qkv_bias"], v["decoder:rope_theta"] + 0,
                v["decoder:eps"] + 0, v["codes:depth"], v["codes:layer"], v["codes:tower"], v["head:layers"],
                v["decoder:ffn"] / v["decoder:width"] }'; }
while read -r small large; do
    diff <(shape "$cut/$small.cfg") <(shape "$(dirname "$cut")/$large/instruct.cfg") || fail "$small is not $large cut down"
done <<'T'
vicuna   llava15-7b
mistral  mistral-7b
qwen2    qwen2-7b
T
