# A file that lists stages: `train` goes through them, packs what is missing, goes on where it was stopped, passes over what is done; `pack`
# packs each data set once; others take the last stage; --set train.stage takes one; what is wrong with such a file.
. "$(dirname "$0")/tools.inc"

grep -v '^run:\|^train:\|^data:\|^ckpt:\|^text:\|^  *set =\|^  *muon_lr\|^//' "$config" >base.cfg
cat >tail.cfg <<'C'
text:  { model = "text.model"; };
data:  { source = "scenes"; samples = 32; val_samples = 14; level = 1; };
train: { global_batch = 8; micro_batch = 4; };
parallel: { threads = 1; bind = "none"; };
stages = (
  { run: { dir = "runs/contrast"; };  data: { template = "plain"; set = "captions/index.set"; };  train: { stage = "contrast"; steps = 3; }; },
  { run: { dir = "runs/tokenizer"; }; data: { template = "plain"; set = "captions/index.set"; };
    train: { stage = "tokenizer"; init = "runs/contrast"; steps = 2; }; },
  { run: { dir = "runs"; }; data: { set = "questions/index.set"; }; train: { stage = "instruct"; init = "runs/tokenizer"; steps = 4; }; }
);
C
cat base.cfg tail.cfg >all.cfg

# ---- which one others take ----
key() { sed -n "s/^ *$1 = \(.*\);/\1/p" out | head -1; }
says 0 0 help config all.cfg
[ "$(key dir)" = '"runs"' ] && grep -q 'stage = "instruct";' out && ! grep -q stages out || fail "the last stage is not taken: $(key dir)"
says 0 0 help config all.cfg --set train.stage=tokenizer --set train.steps=9
[ "$(key dir)" = '"runs/tokenizer"' ] && grep -q 'steps = 9;' out || fail "the tokenizer's stage is not taken: $(key dir)"

# ---- what is wrong ----
says 78 0 plan all.cfg --set train.stage=pretrain
blames '"contrast", "tokenizer", "instruct"' 'got       "pretrain"' 'all.cfg:'
sed 's|dir = "runs/tokenizer"|dir = "runs/contrast"|' all.cfg >twice.cfg
says 78 1 train twice.cfg
blames "runs/contrast, of stage 1 and of stage 2"
sed 's|steps = 2|stps = 2|' all.cfg >key.cfg
says 78 1 train key.cfg                                     # judged before the first begins
blames 'there is no key "train.stps"' "key.cfg:"
for bad in 'stages = 3;' 'stages = ( );' 'stages: { a = 1; };' 'stages = ( 3 );' 'stages = [ "contrast" ];'; do
    { cat base.cfg; echo "$bad"; } >bad.cfg
    says 78 0 plan bad.cfg
    blames "stages is a list of groups"
done
{ cat base.cfg; echo 'model2: { x = 1; }; stages = ( { run: { dir = "x"; }; stages = ( { run: { dir = "y"; }; } ); } );'; } >bad.cfg
says 78 0 plan bad.cfg
grep -q 'group "model2"' err && ! grep -q 'y' out || fail "an unknown group beside stages passes"
[ ! -e runs ] || fail "something was begun"

# ---- all of them, stopped on the way ----
says 0 2 train all.cfg
for s in "1 of 3, contrast: packs captions/index.set" "1 of 3, contrast: trains runs/contrast" "2 of 3, tokenizer: trains" "3 of 3, instruct: packs questions/index.set" \
         "3 of 3, instruct: trains runs"; do
    grep -qF "stage $s" out || { cat out; fail "not said: $s"; }
done
[ "$(grep -c ': packs ' out)" = 2 ] || fail "a data set was packed twice"
[ -d runs/ckpt/step-00000004 ] && [ -d runs/tokenizer/ckpt/step-00000002 ] || fail "a stage has no checkpoint"
lives() { cat runs/lives.jsonl runs/*/lives.jsonl | wc -l; }
before=$(lives)
says 0 1 train all.cfg
[ "$(grep -c 'is done:' out)" = 3 ] && grep -q 'nothing is left to train' out && [ "$(lives)" = "$before" ] || { cat out; fail "what is done begins again"; }
says 0 0 status runs
grep -q 'step 4 of 4' out || { cat out; fail "status of the last stage"; }

# A later stage's life begins when the one before ends, though the process is older.
born=$(sed -n 's/.*"event": "start", "time": \([0-9.]*\).*/\1/p' runs/lives.jsonl) ended=$(sed -n 's/.*"event": "end", "time": \([0-9.]*\).*/\1/p' runs/tokenizer/lives.jsonl)
awk -v b="$born" -v e="$ended" 'BEGIN { exit !(b >= e) }' || fail "the last stage was born at $born, before the one in front ended at $ended"

# ---- another configuration of a stage that is done: train says so, nothing is passed over ----
says 78 1 train all.cfg --set train.lr=0.5
blames "train.lr"
[ "$(grep -c 'is done:' out)" = 0 ] || fail "another configuration counts as done"

# ---- a stop ends the walk with 75; the same command goes on ----
rm -rf runs
begin 2 train all.cfg --set train.steps=4000 --set ckpt.minutes=0
at_step 2 runs/contrast
kill -USR1 $(ranks)
ended 75
[ ! -e runs/tokenizer ] || fail "the next stage began behind a stop"
says 65 0 status runs
blames "asvr status runs/contrast"
says 0 0 status all.cfg                                     # of a configuration the last stage that has begun
grep -q 'stage 1 of 3, contrast: runs/contrast' err && grep -q '^runs/contrast  contrast  step' out || { cat out err; fail "status of a configuration"; }
says 0 0 report all.cfg
[ -s runs/contrast/report.html ] || fail "report of a configuration"
sed 's/"runs/"elsewhere/' all.cfg >none.cfg
says 65 0 status none.cfg
blames "no run of this configuration has begun"
says 75 1 train all.cfg --set train.steps=4000 --set ckpt.minutes=0 --set stop.deadline=1
grep -q 'runs/contrast' out || fail "it does not go on with the first stage"

# ---- pack: each data set once ----
rm -rf captions questions
says 0 2 pack all.cfg
[ "$(grep -c '^stage .* packs' out)" = 2 ] && [ -e captions/index.set ] && [ -e questions/index.set ] || { cat out; fail "pack of two data sets"; }

# ---- one alone ----
rm -rf runs
says 0 1 train all.cfg --set train.stage=contrast
[ -d runs/contrast/ckpt ] && [ ! -e runs/tokenizer ] && grep -q 'stage 1 of 1, contrast' out || { cat out; fail "one stage alone"; }
