# Records held out of a JSON file are drawn: each kind in proportion though the kinds lie one behind the other, the same ones on
# 1, 2 and 4 ranks, others with another seed.  The corpus of the text model shows which records are left for training.
. "$(dirname "$0")/tools.inc"

{ printf 'P6 8 8 255 '; head -c 192 /dev/zero; } >black.ppm
colours=(red green blue grey white black pink brown)
record() {                                      # NUMBER IMAGES(JSON, or "")
    printf '{"id": %d, %s"conversations": [{"from": "human", "value": "which colour has thing %d?"}, {"from": "gpt", "value": "number %d is %s"}]}' \
        $1 "${2:+\"image\": $2, }" $1 $1 ${colours[$(($1 * 5 % 8))]}
}
# 40 with a picture, 20 with two, and at the end 20 without
records() {                                     # [NUMBER IMAGES]...: instead of these records' own
    declare -A other=()
    while [ $# -gt 0 ]; do other[$1]=$2; shift 2; done
    for i in $(seq 0 79); do
        images='"black.ppm"'
        [ $i -lt 40 ] || images='["black.ppm", "black.ppm"]'
        [ $i -lt 60 ] || images=
        [ $i = 0 ] && echo '[' || echo ','
        record $i "${other[$i]:-$images}"
    done
    echo ']'
}
records >x.json

small+=(--set data.source=llava --set data.json=x.json --set data.images=. --set data.samples=0 --set data.val_samples=8)
# packs RANKS NAME ARGS...: the numbers of the records for training in NAME.train, the others in NAME.held
packs() {
    local ranks=$1 name=$2
    shift 2
    : >$name.text
    ln -sf $name.text $name.model.corpus        # pack removes the link alone
    says 0 $ranks pack "$config" "${small[@]}" --set text.model=$name.model --set data.set=$name/index.set "$@"
    sed -n 's/.*number \([0-9]*\) is.*/\1/p' $name.text >$name.train
    seq 0 79 | grep -vxFf $name.train >$name.held || :
}
among() { awk -v a=$2 -v b=$3 '$1 >= a && $1 < b' $1 | wc -l; }

packs 0 one
grep -q '^training .* 72 samples, 72 pictures' out && grep -q '^held out .* 8 samples, 8 pictures' out || { cat out; fail "other numbers"; }
[ "$(among one.held 0 40) $(among one.held 40 60) $(among one.held 60 80)" = "4 2 2" ] || { cat one.held; fail "not in proportion"; }
[ "$(wc -l <one.train)" = 72 ] && sort -nc one.train || fail "the others are not for training, in their order"
[ "$(grep -c '^A chat between' one.text)" = 1 ] || { cat one.text; fail "the corpus repeats the system prompt"; }
"$ASVR" verify one | head -1 >one.sum
for ranks in 2 4; do
    packs $ranks of$ranks
    cmp one.text of$ranks.text || fail "$ranks ranks hold out others"
    "$ASVR" verify of$ranks | head -1 | sed "s|of$ranks/|one/|" | cmp - one.sum || fail "$ranks ranks hold out other samples"
done
packs 0 seed --set run.seed=7
[ "$(among seed.held 0 40) $(among seed.held 40 60) $(among seed.held 60 80)" = "4 2 2" ] || { cat seed.held; fail "not in proportion"; }
! cmp -s one.held seed.held || fail "the draw does not depend on the seed"

# at most half; bad ones are never held out
packs 0 half --set data.val_samples=1000
grep -q '^held out .* 40 samples, 40 pictures' out || { cat out; fail "not half of the records"; }
records 3 '"gone.ppm"' 7 '"gone.ppm"' 77 '"gone.ppm"' >y.json
packs 2 bad --set data.json=y.json --set data.on_bad=skip --set data.val_samples=1000
grep -q '^training .* 39 samples' out && grep -q '^held out .* 38 samples' out && grep -q 'skipped   3 bad' out ||
    { cat out; fail "bad records among those held out"; }

# the first bad record is named with its number, whoever reads it; what is broken is said as one rank says it
records 41 '"gone.ppm"' 64 '"gone.ppm"' >bad.json
{ head -n 46 x.json; record 90; record 91; echo ,; sed -n '47,$p' x.json; } >comma.json
head -c 12000 x.json >cut.json
for file in bad comma cut; do
    for n in 0 2 4; do
        says 65 $n pack "$config" "${small[@]}" --set data.json=$file.json
        sed 's/^\(asvr: error: \).*\(what\)/\1\2/' err | grep -F $file.json >$file.$n
        cmp $file.$n $file.0 || { cat $file.$n $file.0; fail "$n ranks say something else"; }
    done
done
grep -q 'bad.json: record 41, byte' bad.0 && grep -q 'comma.json: record 46, byte' comma.0 && grep -q 'cut.json: record ' cut.0 ||
    { cat bad.0 comma.0 cut.0; fail "another record is named"; }

# of a long file a sample serves as corpus: here every second record
{ head -n 3 x.json; head -c 210000000 /dev/zero | tr '\0' ' '; sed -n '4,$p' x.json; } >long.json
packs 2 long --set data.json=long.json --set data.val_samples=0
seq 0 2 79 | cmp - long.train || { cat long.train; fail "not every second record"; }
