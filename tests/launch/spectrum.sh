# Singular values of a run: the same on any number of ranks, dealt or spread; the measures are what the values say; what
# was made to collapse is named; what cannot be looked at is said.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/tools.inc"

run=("$config" "${small[@]}" --set run.dir=run)
says 0 2 pack "$config" "${small[@]}"
says 0 2 train "${run[@]}"
says 0 0 spectrum "${run[@]}"
[ ! -s err ] || { cat err; fail "spectrum complained"; }
cp run/spectrum.json one.json
cp out one

# ---- the table and the file ----
grep -q '^run/ckpt/step-00000006: step 6 of stage instruct$' out && grep -q '^51 matrices on 1 rank in ' out || { cat out; fail "the head of the table"; }
[ "$(grep -cE '^[ *] [a-z0-9_.]+ +[0-9]+ x [0-9]+ ' out)" = 51 ] || { cat out; fail "not a row a matrix"; }
for part in vision codes projector decoder head features; do grep -qE "^$part +shape " out || fail "no part $part"; done
for kind in tower codes projector decoder; do grep -qE "^[ *] $kind +224 x 64 " out || { cat out; fail "no features $kind"; }; done
grep -q '^  224 patches of 14 samples for evaluation, less their mean$' out || fail "not told what was looked at"
if LC_ALL=C sed 's/\xe2\x96[\x80-\x8f]/#/g' out | LC_ALL=C grep -nE '^.{121}'; then fail "lines too long for a terminal of 120 columns"; fi
number='-?[0-9][0-9.e+-]*' maybe='(-?[0-9][0-9.e+-]*|null)'
matrix="\{\"name\": \"[a-z0-9_.]+\", \"rows\": [0-9]+, \"cols\": [0-9]+, \"largest\": $number, \"smallest\": $number, \"frobenius\": $number"
matrix+=", \"condition\": $maybe, \"stable_rank\": $number, \"effective_rank\": $number, \"participation\": $number, \"dead\": [0-9]+"
matrix+=", \"values\": \[($number, )*$number\]\}"
[ "$(grep -cE "^  $matrix(,|\],)\$" one.json)" = 51 ] || { cat one.json; fail "a matrix of spectrum.json has another shape"; }
head -1 one.json | grep -qxE '\{"step": 6, "stage": "instruct", "checkpoint": "run/ckpt/step-00000006",' || fail "spectrum.json begins otherwise"
book="\{\"name\": \"codes\.[01]\", \"vectors\": 64, \"copies\": 0, \"running\": null, \"pictures\": \{\"used\": [0-9]+, \"perplexity\": $number\}\}"
[ "$(grep -cE "^  $book(,|\],)\$" one.json)" = 2 ] || { cat one.json; fail "a codebook of spectrum.json has another shape"; }
if command -v python3 >/dev/null; then python3 -m json.tool one.json >/dev/null; fi

# ---- the measures, again, from the values (all are there: no matrix has more than 256); printed with seven digits ----
grep '"values"' one.json | tr -d '{}[],"' | awk '
    function far(a, b) { return a - b > 1e-5 * b || b - a > 1e-5 * b }
    {
        for (i = 1; i < NF; i++) { if ($i == "values:") break; v[$i] = $(i + 1) }
        first = i + 1; n = NF - i; sum = square = fourth = entropy = dead = 0
        for (i = first; i <= NF; i++) { sum += $i; square += $i^2; fourth += $i^4; dead += $i < 1e-3 * $first }
        for (i = first; i <= NF; i++) if ($i > 0) entropy -= $i / sum * log($i / sum)
        bad = n != (v["rows:"] < v["cols:"] ? v["rows:"] : v["cols:"]) || v["largest:"] != $first || v["smallest:"] != $NF ||
              far(v["frobenius:"], sqrt(square)) || far(v["stable_rank:"], square / $first^2) || v["dead:"] != dead ||
              far(v["effective_rank:"], exp(entropy)) || far(v["participation:"], square^2 / fourth)
        if (bad) { print; exit 1 }
    }' || fail "measures that the values do not have"

# ---- the same on 2 and 4 ranks, and with every matrix spread over 3 and 4 of them ----
# Weights are the same bits; sums of features run in another order, and small singular values feel it most.
alike() {                                       # A B
    paste -d'\n' <(grep '"values"' "$1") <(grep '"values"' "$2") | tr -d '{}[],"' | awk '
        function skip(key) { return key == "smallest:" || key == "condition:" || key == "dead:" }
        NR % 2 { n = split($0, a); next }
        {
            if (n != NF || a[2] != $2) { print $2 ": not the same matrices"; exit 1 }
            for (i = 3; i <= NF; i++) if ($i == "largest:") { largest = $(i + 1); break }
            for (i = 3; i <= NF; i++) {
                d = a[i] - $i; m = $i > largest ? $i : largest
                if (!skip($(i - 1)) && (d > 1e-4 * m || -d > 1e-4 * m)) { print $2 ": " a[i] " and " $i; exit 1 }
            }
        }' || fail "$1 and $2 differ"
}
for ranks in 2 4; do
    says 0 $ranks spectrum "${run[@]}"
    cp run/spectrum.json $ranks.json
    alike one.json $ranks.json
    grep -q "^51 matrices on $ranks ranks in " out || fail "not on $ranks ranks"
    diff <(grep '"values"' one.json | grep -v features) <(grep '"values"' $ranks.json | grep -v features) || fail "values of weights depend on the ranks"
done
for ranks in 3 4; do
    says 0 $ranks spectrum "${run[@]}" --set spectrum.whole=0
    alike one.json run/spectrum.json
done
says 0 4 spectrum "${run[@]}" --set parallel.tp=2
alike one.json run/spectrum.json
says 0 2 spectrum "${run[@]}" --set spectrum.whole=4096 --set spectrum.parts=decoder
alike <(grep '"decoder\.' one.json) run/spectrum.json

# ---- parts, other checkpoints, no data ----
says 0 0 spectrum "${run[@]}" --set spectrum.parts=head,projector --set spectrum.from=run/ckpt/step-00000006
[ "$(grep -cE '^[a-z_]+ +shape ' out)" = 2 ] && ! grep -qE '^(decoder|codes|codebooks|features)' out || { cat out; fail "parts that nobody asked for"; }
says 0 0 spectrum "${run[@]}" --set spectrum.parts=features --set spectrum.samples=4
grep -q '^  64 patches of 4 samples' out && ! grep -qE '^decoder' out || { cat out; fail "not the features alone"; }
says 0 2 spectrum "${run[@]}" --set data.set=
grep -q '^features were not looked at: data.set is not set' out || { cat out; fail "not told why there are no features"; }
grep -q '"features": \[\],' run/spectrum.json || fail "features out of nothing"
says 0 0 spectrum "${run[@]}" --set data.set=nowhere/index.set
grep -q '^features were not looked at: .*nowhere' out || { cat out; fail "not told where there are no features"; }
says 78 2 spectrum "${run[@]}" --set spectrum.parts=features --set data.set=
blames 'data.set is not set'
says 78 2 spectrum "${run[@]}" --set spectrum.parts=decoder,hed
blames 'no such part' '"hed"' 'vision, codes, projector, decoder, head, features' spectrum.parts
says 74 2 spectrum "${run[@]}" --set spectrum.from=nowhere
blames 'there is no such folder' nowhere
says 65 0 spectrum "${run[@]}" --set spectrum.parts=features --set model.decoder.width=128
blames 'the model wants'
flip run/ckpt/step-00000006/tensors.h5 60000
says 74 2 spectrum "${run[@]}"
blames 'damaged'
flip run/ckpt/step-00000006/tensors.h5 60000

# ---- low-rank pairs: the weights with them are those of the merged export; what they add has their rank ----
pairs=("$config" "${small[@]}" --set train.lora_rank=4 --set train.init=run)
says 0 0 train "${pairs[@]}" --set run.dir=pairs --set train.steps=24 --set train.lr=1e-2
for ranks in 0 3; do
    says 0 $ranks spectrum "${pairs[@]}" --set run.dir=pairs --set spectrum.whole=$((ranks ? 0 : 99999))
    [ ! -s err ] || { cat err; fail "spectrum complained"; }
    grep -q '^low-rank pairs: decoder has the weights with their pairs, lora what pairs add (4 values)' out || { cat out; fail "not told what is shown of pairs"; }
    for part in projector head decoder lora features; do grep -qE "^$part +shape " out || { cat out; fail "no part $part"; }; done
    [ "$(grep -cE '"name": "decoder\.[01]\.(attn\.w[qkvo]|ffn\.(gate|up|down))", ' pairs/spectrum.json)" = 14 ] || fail "not a weight a pair"
    [ "$(grep -cE '"name": "lora\.decoder\.[01]\.[a-z.]+", "rows": (64|128), "cols": (64|128), .*"values": \[([0-9.e+-]+, ){3}[0-9.e+-]+\]' pairs/spectrum.json)" = 14 ] || fail "not four values a pair"
    grep '"name": "decoder\.[01]\.' pairs/spectrum.json >with$ranks
    grep '"name": "lora\.' pairs/spectrum.json >added$ranks
done
alike with0 with3
alike added0 added3
says 0 0 export "${pairs[@]}" --set export.from=pairs --set export.to=merged
says 0 0 import "$config" --set model.decoder.vocab=832 --set import.from=merged --set import.to=whole
says 0 0 spectrum "$config" "${small[@]}" --set model.decoder.vocab=832 --set run.dir=whole --set spectrum.parts=decoder
grep -E '"name": "decoder\.[01]\.' whole/spectrum.json >merged_
alike with0 merged_
says 0 0 spectrum "${pairs[@]}" --set run.dir=run --set spectrum.parts=decoder --set train.lora_rank=0
grep -E '"name": "decoder\.[01]\.' run/spectrum.json >without
! (alike with0 without) >/dev/null || fail "the pairs are not in the weights"
mv run away
says 0 0 spectrum "$config" "${small[@]}" --set run.dir=pairs --set spectrum.parts=lora
says 74 2 spectrum "$config" "${small[@]}" --set run.dir=pairs --set spectrum.parts=decoder
blames 'the base that this checkpoint stands on is not there'
mv away run

# ---- codebooks that collapse: all 64 codes of each start again from the 16 patches of one picture ----
tokenizer=("$config" "${small[@]}" --set train.stage=tokenizer --set train.steps=2 --set data.samples=1 --set data.val_samples=1)
tokenizer+=(--set data.set=single/index.set --set train.global_batch=4 --set train.micro_batch=2)
says 0 0 pack "${tokenizer[@]}"
says 0 2 train "${tokenizer[@]}" --set run.dir=tokenizer
says 0 2 spectrum "${tokenizer[@]}" --set run.dir=tokenizer
grep -qE '^\* codes\.0 +([5-6][0-9]) of 64 code vectors are copies of others$' out || { cat out; fail "copies are not named"; }
grep -qE '"name": "codes\.0", "vectors": 64, "copies": [5-6][0-9], "running": \{"used": [0-9]+, "perplexity": '"$number"'\}, "pictures": \{' tokenizer/spectrum.json ||
    fail "the running means are not looked at"
grep -qE '^[ *] tower +16 x 64 ' out || { cat out; fail "no features in stage tokenizer"; }
says 65 2 spectrum "${tokenizer[@]}" --set run.dir=tokenizer --set train.stage=instruct --set spectrum.parts=features
blames 'the checkpoint lacks what stage instruct has: projector, decoder, head'

# ---- a head of one direction, a matrix of zeros, one that is not finite: made in an export, taken in again ----
says 0 0 export "$config" "${small[@]}" --set export.from=run --set export.to=hf
file=hf/model.safetensors
# overwrite NAME: standard input becomes the elements of a tensor
overwrite() {
    local head at
    head=$((8 + $(od -An -td8 -N 8 $file)))
    at=$(head -c $head $file | grep -aoE "\"$1\":\{[^}]*" | grep -oE '[0-9]+,[0-9]+\]$' | cut -d, -f1)
    dd of=$file bs=65536 seek=$((head + at)) oflag=seek_bytes conv=notrunc status=none
}
row() { head -c 300 "$ASVR" | od -An -v -tu1 -w1 | awk 'NR <= 64 { printf "\\x%02x\\x00\\x80\\x3f", $1 }'; }
for _ in $(seq 64); do printf "$(row)"; done | overwrite visual_head.heads.0.weight
head -c $((64 * 64 * 4)) /dev/zero | overwrite visual_head.heads.1.weight
head -c $((64 * 64 * 4)) /dev/zero | tr '\0' '\377' | overwrite language_model.model.layers.0.self_attn.q_proj.weight
for _ in $(seq 32); do printf "$(row)"; done | overwrite vision_tokenizer.codebooks.1.weight
wide=(--set model.decoder.vocab=832)          # an export has 64 rows more, for <image>
says 0 0 import "$config" "${wide[@]}" --set import.from=hf --set import.to=made
for ranks in 0 3; do
    says 0 $ranks spectrum "$config" "${small[@]}" "${wide[@]}" --set run.dir=made --set spectrum.parts=decoder,head,codes --set spectrum.whole=$((ranks ? 0 : 99999))
    sed -n '/^looks collapsed/,/^rule/p' out | sed '1d;$d' | tr -s ' ' >named
    cat >expected <<'T'
* decoder.0.attn.wq holds values that are not finite
* head.code.0.w effective rank 1.0 of 64
* head.code.1.w all zero
* codes.1 32 of 64 code vectors are copies of others
T
    sed '/perplexity/d' named | diff expected - || { cat out; fail "other things are named"; }
    grep -q '"decoder.0.attn.wq", "rows": 64, "cols": 64, "largest": null' made/spectrum.json || fail "what is not finite is not null"
    [ "$(grep -c '"why": ' made/spectrum.json)" = 4 ] || { tail -5 made/spectrum.json; fail "spectrum.json does not name them"; }
done
