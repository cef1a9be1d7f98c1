# `asvr init`: what it says of data, that what it writes is a configuration that plan reads and train trains, sizes, sources that are guessed,
# and what it refuses.
. "$(dirname "$0")/tools.inc"

# Pictures of one colour each: PPM, NAME R G B.
ppm() { { printf 'P6\n%d %d\n255\n' 12 9; for _ in $(seq 108); do printf "\\x$(printf %02x "$2")\\x$(printf %02x "$3")\\x$(printf %02x "$4")"; done; } >"$1"; }
mkdir pictures bare empty
i=0
for name in red green blue grey; do
    ppm "pictures/$name.ppm" $((i * 60)) $((200 - i * 50)) $((i * 20))
    echo "A $name square." >"pictures/$name.txt"
    cp "pictures/$name.ppm" bare/
    i=$((i + 1))
done

# look ARGS...: the configuration in out, the look in err
look() { says 0 0 init "$@"; }
shows() { for text; do grep -qE -- "$text" err || { cat err; fail "the look does not say: $text"; }; done; }

# ---- a folder ----
look pictures/ --run=runs/a
shows '^source +folder pictures' '^records +4, none of them broken' '^pictures +4; 12 x 9 is the median, sides from 9 to 12; 4 decoded, all of them whole' \
      '^turns +1 a record, 1 at most' '^text +' '^writing +Latin 100 %' '^-> small' '^   medium' '^   large' 'asvr train out'
cp out a.cfg
grep -q '^chat: .*image = "pictures/blue.ppm"; question = "Describe this image."' a.cfg || fail "no first question"
for stage in contrast tokenizer pretrain instruct; do
    says 0 0 plan a.cfg --set train.stage=$stage
    grep -q "^stage $stage" out || fail "plan of $stage"
done
# what is written is what was offered: the parameters that plan counts
millions=$(sed -n 's/^-> small *\([0-9.]*\) M.*/\1/p' err)
says 0 0 init pictures --run=runs/a
millions=$(sed -n 's/^-> small *\([0-9.]*\) M.*/\1/p' err)
says 0 0 plan a.cfg
awk -v said="$millions" '/^together/ { gsub(",", "", $2); d = $2 / 1e6 - said; exit !(d < 0.06 && d > -0.06) }' out || fail "plan counts other parameters than $millions M"

# ---- sizes: each larger in all that it costs ----
look pictures
awk '/^(->|  ) (small|medium|large) / { sub("->", ""); n++; if ($2 <= p || $4 <= w) exit 1; p = $2; w = $4 } END { exit n != 3 }' err || { cat err; fail "sizes are not ordered"; }
look pictures --size=large
grep -q 'image = 224;' out && grep -q '^-> large' err || fail "--size=large"
look pictures --size large --hours 0.001                    # both ways to say a value
shows 'fewer steps, for 0.001 hours'
grep -q 'steps = 1;' out || fail "--hours cuts no step"

# ---- two commands more: it trains all stages, and answers ----
sed 's/steps = [0-9]*;/steps = 2;/' a.cfg >few.cfg
says 0 2 train few.cfg --set parallel.threads=1 --set parallel.bind=none
[ "$(grep -c ': trains ' out)" = 4 ] && [ "$(grep -c ': packs ' out)" = 2 ] || { cat out; fail "not four stages and two packs"; }
says 0 0 chat few.cfg --set chat.max_new=3
[ "$(wc -l <out)" = 1 ] || fail "chat does not answer"

# ---- JSON, some of it broken: each kind counted, with the first ----
head -c 200 pictures/red.ppm >bare/cut.ppm
echo nothing >bare/text.png
talk() { printf '{"id": "%s", "image": "%s", "conversations": [{"from": "human", "value": "<image>\\nWhat is it?"}, {"from": "gpt", "value": "%s"}]}\n' "$@"; }
{ talk 1 red.ppm "A red square."; talk 2 gone.ppm x; talk 3 gone2.ppm x; talk 4 cut.ppm x; talk 5 text.png x; talk 6 ../x.ppm x; talk 7 blue.ppm "Синий 蓝"; talk 1 red.ppm "A red square."
  echo '{"id": "8", "image": "red.ppm"}'; echo 'no json'; echo '{"id": "9", "conversations": [{"from": "human", "value": "Two?"}, {"from": "gpt", "value": "Four."}]}'; } >mine.jsonl
look --json mine.jsonl --images bare --run runs/b
cp out b.cfg
shows '^records +6; 5 cannot be used; 1 without a picture; 1 says what another one says' 'decoded, 2 of them cannot be' '^broken +2: a picture is missing' 'first: gone.ppm' \
      '^broken +1: .*leaves the folder' '^broken +1: a record without a conversation' 'Cyrillic [0-9.]+ %, Han'
grep -q 'on_bad = "skip"' b.cfg || fail "broken data and on_bad is not skip"
sed 's/steps = [0-9]*;/steps = 1;/' b.cfg >few.cfg
says 0 2 pack few.cfg
grep -q 'skipped   7 bad samples' out || { cat out; fail "pack skips another number than init has seen broken"; }

# ---- several pictures in a record: the tower learns from the first of them ----
{ talk 1 red.ppm "A red square."
  for n in 2 3; do printf '{"id": "%d", "images": ["blue.ppm", "red.ppm"], "conversations": [{"from": "human", "value": "<image><image>\\nWhich?"}, {"from": "gpt", "value": "Red %d."}]}\n' $n $n; done; } >several.jsonl
look several.jsonl bare --run=runs/s
shows '^records +3, none of them broken; 2 with several' '^pictures +5'
grep -q 'stage = "contrast"' out && grep -q 'of several the first' out || { cat out; fail "contrast is left out where records have several pictures"; }
sed 's/steps = [0-9]*;/steps = 1;/' out >several.cfg
says 0 2 train several.cfg --set parallel.threads=1 --set parallel.bind=none
[ "$(grep -c ': trains ' out)" = 4 ] || { cat out; fail "not four stages of records with several pictures"; }

# ---- one record; names that lists and comments would cut ----
mkdir 'one, "two"'
talk 1 'a,b.ppm' "A red square." >one.jsonl
cp pictures/red.ppm 'one, "two"/a,b.ppm'
look one.jsonl 'one, "two"'
! grep -q '^chat:' out || fail "a picture with a comma in its name becomes chat.image"
sed 's/steps = [0-9]*;/steps = 1;/' out >one.cfg
says 0 2 train one.cfg --set parallel.threads=1 --set parallel.bind=none
says 0 0 chat one.cfg --set chat.image=pictures/red.ppm --set chat.question=What? --set chat.max_new=2

# ---- what is meant, by what is there ----
source_is() { grep -q "source = \"$1\"" out || fail "a guess that is not $1"; }
look mine.jsonl bare;             source_is llava
mkdir both; cp mine.jsonl bare/*.ppm bare/text.png both/
look both;                        source_is llava; grep -q 'json = "both/mine.jsonl"; images = "both"' out || fail "a JSON file in its folder"
gzip -c mine.jsonl >mine.jsonl.gz
look mine.jsonl.gz --images=bare; source_is llava
echo '{"images": [{"id": 1, "file_name": "red.ppm"}], "annotations": [{"image_id": 1, "id": 1, "caption": "A red one."}]}' >captions.json
look captions.json --images bare; source_is coco
(cd pictures && tar cf ../a.tar --sort=name -- *)
look a.tar;                       source_is webdataset
look 'a*.tar' --source=webdataset; source_is webdataset
shows '^records +4'

# ---- somebody else's model: its sizes, its vocabulary; train imports it ----
mkdir lm
cp runs/a/text.model lm/tokenizer.model
echo '{"model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
       "vocab_size": 1280, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu", "tie_word_embeddings": false}' >lm/config.json
look pictures --model=lm --run=runs/lm
grep -q 'width = 64; layers = 2; heads = 4; kv_heads = 2;' out && grep -q 'vocab = 1280' out && grep -q 'from = "lm"; to = "runs/lm/import"' out || { cat out; fail "another decoder than lm's"; }
grep -q 'init = "runs/lm/tokenizer, runs/lm/import"' out || { cat out; fail "pretrain does not start from lm"; }
! grep -q 'tied = true' out || fail "a decoder with a head of its own is tied"
sed -i 's/"tie_word_embeddings": false/"tie_word_embeddings": true/' lm/config.json
look pictures --model=lm
grep -q 'tied = true' out || fail "a decoder whose head is its embedding is not tied"
cp -r lm odd
sed -i 's/llama/mamba/' odd/config.json
says 65 0 init pictures --model=odd; blames "mamba"
says 0 0 export few.cfg --set export.from=runs/a --set export.to=llava
look pictures --model=llava --run=runs/l
[ "$(grep -c 'stage = "' out)" = 3 ] && ! grep -q contrast out || { cat out; fail "a whole model has a tower already"; }
sed 's/steps = [0-9]*;/steps = 1;/' out >l.cfg
says 0 2 train l.cfg --set parallel.threads=1 --set parallel.bind=none
grep -q 'stage 1 of 3, tokenizer: imports llava' out && [ -d runs/l/ckpt/step-00000001 ] || { cat out; fail "a whole model is not trained on"; }

# ---- refused ----
says 64 0 init;                               blames "where the data are"
says 64 0 init --json;                        blames "--json needs a value"
says 64 0 init pictures --size=huge;          blames 'got       "huge"'
says 64 0 init pictures --hours=soon;         blames "--hours"
says 64 0 init pictures --source=jpeg;        blames "llava, webdataset"
says 64 0 init pictures --sice=small;         blames 'what is "--sice=small"?'
says 64 0 init mine.jsonl captions.json;      blames "which?"
says 65 0 init gone/;                         blames "no such file"
says 65 0 init empty;                         blames "no record to learn from" "cat.txt"
says 65 0 init bare --source=folder;          blames "no record to learn from"
says 65 0 init bare/red.ppm;                  blames "nobody can tell"
says 64 0 init pictures --run=a,b;            blames "without a comma"
grep Two mine.jsonl >text.jsonl
says 65 0 init text.jsonl;                    blames "no record has a picture"
head -c 60 captions.json >cut.json
says 65 0 init cut.json --images bare --source=llava
for f in out; do [ ! -s $f ] || fail "a configuration in spite of an error"; done
says 65 0 init pictures --model=empty;        blames "config.json"
