# The same pictures and captions from every source: the same shards, byte for byte, on 1, 2 and 3 ranks, also when pack was killed;
# what is damaged is refused, or passed over and counted; nothing is left behind.
. "$(dirname "$0")/tools.inc"

# ---- 24 pictures of one colour each, PPM, with a caption ----
mkdir flat
colours=(red green blue grey white black pink brown)
for i in $(seq 10 33); do
    { printf 'P6 8 8 255 '; yes "$(printf '\\%03o\\%03o\\%03o' $((i * 7)) $((255 - i * 5)) $((i * 3)))" | head -n 64 | tr -d '\n' | xargs -0 printf; } >flat/0$i.ppm
    echo "thing $i is \"${colours[$((i % 8))]}\" ." >flat/0$i.txt
    caption="thing $i is \\\"${colours[$((i % 8))]}\\\" ."
    printf '{"id": "0%d", "image": "0%d.ppm", "conversations": [{"from": "human", "value": "<image>\\nDescribe this image."}, {"from": "gpt", "value": "%s"}]}\n' \
        $i $i "$caption" >>x.jsonl
    images+="${images:+, }{\"id\": $i, \"file_name\": \"0$i.ppm\"}"
    captions+="${captions:+, }{\"id\": 1$i, \"image_id\": $i, \"caption\": \"$caption\"}"
done
echo "{\"info\": {}, \"images\": [$images], \"annotations\": [$captions]}" >coco.json
echo "[$(paste -sd, x.jsonl)]" >x.json
gzip -c x.json >x.json.gz
gzip -c x.jsonl >x.jsonl.gz
head -n 9 x.jsonl >part-0.jsonl
tail -n +10 x.jsonl | paste -sd, | sed 's/.*/[ & ]/' | gzip >part-1.json.gz
gzip -c coco.json >coco.json.gz
tar=(tar --owner=0 --group=0 --mtime=@0)
(cd flat && "${tar[@]}" --format=ustar -cf ../s-00.tar 01?.* && "${tar[@]}" --format=gnu -cf ../s-01.tar ./02?.* && "${tar[@]}" --format=pax -cf ../s-02.tar 03?.*)

small+=(--set data.samples=0 --set data.val_samples=4 --set data.shard_samples=8 --set train.stage=pretrain --set data.template=plain --set data.images=flat)
# packs RANKS NAME SOURCE FILES ARGS...
packs() { says 0 $1 pack "$config" "${small[@]}" --set data.source=$3 --set "data.json=$4" --set data.set=$2/index.set "${@:5}"; }
same() {                                        # NAME: the shards are those of the JSON Lines
    diff <(cd json && md5sum *.h5) <(cd $1 && md5sum *.h5) || fail "$1: other shards"
    [ -z "$(find . -name '.listing-*' -o -name '.pack-*')" ] || fail "$1 leaves $(find . -name '.listing-*' -o -name '.pack-*')"
}

packs 0 json llava x.jsonl
grep -q '^training .* 20 samples, 20 pictures' out && ! grep -q '^source' out || { cat out; fail "other numbers"; }
n=0
set -f
for source in "llava x.json.gz" "llava part-{0.jsonl,1.json.gz}" "coco coco.json.gz" "folder -" "webdataset s-{00..02}.tar"; do
    set -- $source
    set +f
    packs $((n % 4 == 1 ? 2 : 0)) a$n $1 "$2"
    same a$n
    n=$((n + 1))
    set -f
done
set +f
for ranks in 0 3; do
    packs $ranks tar$ranks webdataset .
    same tar$ranks
    grep -q '^source    webdataset: 3 files, 24 records$' out || { cat out; fail "it does not say what it lists"; }
    cmp tar$ranks/index.set tar0/index.set || fail "the index depends on the number of ranks"
done
zstd -q x.jsonl
packs 2 zst llava x.jsonl.zst
same zst

# ---- the same wherever the files lie; another, once one of them has changed ----
mkdir elsewhere
cp s-0?.tar elsewhere
packs 0 there webdataset "$PWD/elsewhere"
cmp there/index.set tar0/index.set || fail "the index depends on where the files lie"

# ---- killed while it lists or packs: what is left goes, what is finished stays ----
mkdir many
for i in $(seq 5); do cp -r flat many/$i; done
"${tar[@]}" --sort=name -cf many.tar many
killed() { ASVR_FAULT=$1 says 137 $2 pack "$config" "${small[@]}" --set data.source=webdataset --set data.json='{many,s-01}.tar' --set data.set=killed/index.set; }
killed '*:0:list:kill' 2
[ -n "$(find killed -name '.listing-*')" ] || fail "it is not killed while it lists"
killed 0:50:data:kill 0
killed 1:100:data:kill 3
[ "$(find killed -name '.listing-*' | wc -l)" = 1 ] || fail "what a killed pack left stays"
packs 2 killed webdataset '{many,s-01}.tar'
grep -qE '; ([0-9]+) shards? of an earlier start kept' out || { cat out; fail "a killed pack starts from zero"; }
packs 0 whole webdataset '{many,s-01}.tar'
diff -r killed whole || fail "kills change the bytes, or leave something"

# ---- not sorted ----
(cd flat && "${tar[@]}" -cf ../unsorted.tar 010.ppm 011.ppm 012.ppm 010.txt 011.txt 012.txt 013.*)
packs 0 unsorted webdataset unsorted.tar --set data.val_samples=0
grep -q 'samples without a caption: 3' out && grep -q -- '--sort=name' err || { cat out err; fail "a tar that is not sorted is not seen"; }

# ---- damaged ----
# refused CODE RANKS SOURCE FILES WORD...
refused() {
    says "$1" "$2" pack "$config" "${small[@]}" --set data.source=$3 --set "data.json=$4" --set data.set=none/index.set
    blames "${@:5}"
    [ -z "$(find none -type f 2>/dev/null)" ] || fail "a refused pack leaves $(find none -type f)"
}
head -c 9780 s-02.tar >cut.tar
cp s-01.tar odd.tar
flip odd.tar 100
refused 65 0 webdataset 's-0{0,9}.tar' 'there is no such file' s-09.tar
refused 65 3 webdataset '{s-00,cut}.tar' 'beyond the end of the tar file' 'cut.tar: byte'
refused 65 0 webdataset '{odd,s-00}.tar' 'odd.tar'
refused 65 0 webdataset x.jsonl.gz 'compressed by gzip' gunzip
head -c 300 x.jsonl.gz >cut.jsonl.gz
refused 65 0 llava cut.jsonl.gz 'the gzip file ends in the middle' 'cut.jsonl.gz: byte 300'
refused 65 0 coco x.json 'no captions file of COCO'
refused 65 0 llava 'nothing-*' 'no file matches'
mkdir alone                                     # a program without its module, also where Arrow is installed
cp "$ASVR" alone && ln -s "$(cd "$(dirname "$ASVR")" && pwd)/asvr-image.so" alone
ASVR_MODULES= ASVR=alone/asvr refused 78 2 parquet x.jsonl 'there is no asvr-parquet.so' 'make ARROW='
says 78 0 pack "$config" "${small[@]}" --set data.source=folder --set data.images= --set data.set=none/index.set
blames data.images
says 78 0 pack "$config" "${small[@]}" --set data.source=tar --set data.set=none/index.set
blames webdataset

packs 2 skip webdataset '{s-00,cut,odd}.tar' --set data.on_bad=skip
grep -q '^skipped   2 while listing' out && grep -q 'cut.tar: byte' err || { cat out err; fail "what is passed over is not said"; }
grep -q '^source    webdataset: 3 files, 1[0-9] records' out || { cat out; fail "a tar that is cut off gives not what it has"; }

# a picture that is none names its tar, its byte and the sample
head -c 100 /dev/urandom >flat/011.ppm
(cd flat && "${tar[@]}" -cf ../bad.tar 010.* 011.*)
refused 65 0 webdataset bad.tar 'bad.tar: byte 2560' 'record 1, id 011' 'data.on_bad'
packs 0 good webdataset bad.tar --set data.on_bad=skip --set data.val_samples=0
grep -q '^skipped   1 bad' out && grep -q 'bad.tar: byte 2560.*id 011' err || { cat out err; fail "the bad picture is not named"; }

# ---- more pixels than the user allows ----
says 65 0 pack "$config" "${small[@]}" --set data.source=webdataset --set data.json=s-00.tar --set data.set=none/index.set --set data.max_pixels=63
blames 'picture is 8 x 8' 'data.max_pixels = 63'
