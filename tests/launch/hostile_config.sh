# Bad configurations: each ends with 78, names its file and line, and says all of its errors at once; none crashes.
#   c.cfg holds what stands behind the second bar (printf's escapes), b.cfg beside it is included by some
set -eu
cd "$TMP"
fail() { echo "$*"; sed 's/^/  | /' said; exit 1; }
n=0
# AddressSanitizer needs all of the address space.
grep -q __asan_init "$ASVR" && few=: || few="ulimit -v 4000000"

# bad PLACE WORDS TEXT [--set ...]: exit 78 by `help config`; PLACE begins a line "where", WORDS stand in what is said.
bad() {
    local place=$1 words=$2 got=0
    printf "$3" >c.cfg
    shift 3
    n=$((n + 1))
    ($few; timeout 20 "$ASVR" help config c.cfg "$@" >said 2>&1) || got=$?
    [ $got = 78 ] || fail "case $n ($words): exit $got"
    grep -qF -- "$words" said || fail "case $n: nobody says $words"
    grep -qE "^  where +.*$place" said || fail "case $n ($words): nobody names $place"
    [ "$(grep -c '^asvr: error: ' said)" = "$(grep -c '^  where ' said)" ] || fail "case $n ($words): an error has no place"
}

# ---- missing, types, ranges, unknown keys, duplicates, syntax: PLACE | WORDS | TEXT ----
while IFS='|' read -r place words text; do
    case $place in ''|'#'*) ;; *) bad "$place" "$words" "$text" ;; esac
done <<'TABLE'
c.cfg:1|there is no key "run.sede"|run: { sede = 3; };
c.cfg:3|there is no key "lr"|\n\nlr = 1e-3;
c.cfg:2|there is no group "modle"|run: { seed = 1; };\nmodle: { x = 1; };
c.cfg:1|model.vision.heads has the wrong type|model: { vision: { heads: { x: { y = 1; }; }; }; };
c.cfg:1|is a group of keys|model = 3;
c.cfg:1|is a group of keys|model: { vision = [1, 2]; };
c.cfg:1|is a group of keys|train = ();
c.cfg:2|a group { ... }|train: {\n lr: { x = 1; };\n};
c.cfg:1|train.steps has the wrong type|train: { steps = 1.5; };
c.cfg:1|train.steps has the wrong type|train: { steps = "7"; };
c.cfg:1|train.steps has the wrong type|train: { steps = true; };
c.cfg:1|train.steps has the wrong type|train: { steps = [1, 2]; };
c.cfg:1|train.lr has the wrong type|train: { lr = "fast"; };
c.cfg:1|train.betas has the wrong type|train: { betas = [0.9]; };
c.cfg:1|train.betas has the wrong type|train: { betas = [0.9, 0.9, 0.9]; };
c.cfg:1|train.betas has the wrong type|train: { betas = (0.9, (0.9)); };
c.cfg:1|train.betas has the wrong type|train: { betas = ("a", "b"); };
c.cfg:1|train.betas is out of range|train: { betas = [0.9, 1.0]; };
c.cfg:1|run.dir has the wrong type|run: { dir = 7; };
c.cfg:1|train.stage has no such word|train: { stage = "pretraining"; };
c.cfg:1|train.stage has no such word|train: { stage = ""; };
c.cfg:1|train.stage has no such word|train: { stage = "contrast\|tokenizer"; };
c.cfg:1|train.stage has the wrong type|train: { stage = 0; };
c.cfg:1|model.decoder.qkv_bias has the wrong type|model: { decoder: { qkv_bias = 1; }; };
c.cfg:1|an integer, 2 .. 65536|model: { decoder: { width = 0; }; };
c.cfg:1|an integer, 2 .. 65536|model: { decoder: { width = 65537; }; };
c.cfg:1|-2147483648|model: { decoder: { width = -2147483648; }; };
c.cfg:1|2147483648|model: { decoder: { width = 2147483648; }; };
c.cfg:1|4294967360|model: { vision: { image = 4294967360; }; };
c.cfg:1|model.decoder.width is out of range|model: { decoder: { width = 9223372036854775807; }; };
c.cfg:1|model.decoder.width is out of range|model: { decoder: { width = 9223372036854775808; }; };
c.cfg:1|model.decoder.width is out of range|model: { decoder: { width = 18446744073709551680; }; };
c.cfg:1|model.decoder.width is out of range|model: { decoder: { width = 99999999999999999999999999999999999999; }; };
c.cfg:1|model.decoder.width is out of range|model: { decoder: { width = 0xFFFFFFFFFFFFFFFFFF; }; };
c.cfg:1|0 .. 9007199254740992|train: { steps = 9007199254740993; };
c.cfg:1|0 .. 9007199254740992|run: { seed = -1; };
c.cfg:1|1 .. 2147483647|data: { shard_samples = 2147483648; };
c.cfg:1|train.lr is out of range|train: { lr = 1e400; };
c.cfg:1|train.lr is out of range|train: { lr = -1e-300; };
c.cfg:1|cannot be parsed|train: { lr = nan; };
c.cfg:1|cannot be parsed|train: { lr = -inf; };
c.cfg:3|cannot be parsed|run: {\n seed = 3;\n seed = 4;\n};
c.cfg:2|cannot be parsed|run: { seed = 3; };\nrun: { seed = 4; };
c.cfg:2|cannot be parsed|run: {\n  seed 3;\n};
c.cfg:2|cannot be parsed|run: {\n seed = ;\n};
c.cfg:1|cannot be parsed|run: { seed = 1;
c.cfg:1|cannot be parsed|}};
c.cfg:1|cannot be parsed|run: { dir = "x
c.cfg:1|cannot be parsed|run: { seed = 3 /* ; };
c.cfg:1|cannot be parsed|\377\376r\0147
c.cfg:1|cannot be parsed|run: { dir = "a" 7; };
c.cfg|it holds zero bytes|run: { seed\000 = 1; };
c.cfg|it holds zero bytes|\000
c.cfg:1|without a file name|@include b.cfg
c.cfg:1|without a file name|@include "b.cfg" run: {};
c.cfg:1|without a file name|@include ""
c.cfg:2|No such file|\n@include "none.cfg"
c.cfg:1|Is a directory|@include "."
c.cfg:1|pipe or a device|@include "/dev/zero"
c.cfg:1|"c.cfg" includes itself|@include "c.cfg"
c.cfg:1|includes itself|@include "../case/c.cfg"
TABLE

# ---- includes: a loop over two, too deep, too many, a pipe; errors in both files, in the order of the text ----
printf '\n@include "c.cfg"\n' >b.cfg
bad b.cfg:2 'c.cfg -> b.cfg -> c.cfg' '@include "b.cfg"\n'
for i in $(seq 20); do echo "@include \"deep$((i + 1)).cfg\"" >deep$i.cfg; done
bad deep15.cfg:1 'at most 64 files, 16 deep' '@include "deep1.cfg"\n'
: >empty.cfg
bad c.cfg:64 'at most 64 files, 16 deep' "$(printf '@include "empty.cfg"\\n%.0s' $(seq 70))"
mkfifo pipe.cfg
bad c.cfg:1 'pipe or a device' '@include "pipe.cfg"\n'
head -c 1100000 /dev/zero | tr '\0' ' ' >long.cfg
bad c.cfg:1 'more than 1 MiB' '@include "long.cfg"\n'
echo 'run: { sede = 1; }; train: { lr = 1000; };' >b.cfg
bad b.cfg:1 'there is no key "run.sede"' 'eval: { samples = -1; };\n@include "b.cfg"\nckpt: { keep = 0; };\n'
grep -oE '(eval|ckpt)\.[a-z]+ is|run.sede|train.lr is' said | uniq >order
printf 'eval.samples is\nrun.sede\ntrain.lr is\nckpt.keep is\n' | cmp - order || fail "not all errors at once, in order"

# ---- long and deep: no stack, no memory ----
bad c.cfg:1 'is too long' "run: { dir = \"$(printf 'x%.0s' $(seq 1024))\"; };"
bad c.cfg:1 'there is no key' "$(printf 'k%.0s' $(seq 5000)) = 1;"
bad c.cfg:1 'c' "$(printf 'a: {%.0s' $(seq 30000))"
bad c.cfg:1 'c' "train: { betas = $(printf '(%.0s' $(seq 30000))"
bad c.cfg:1 'and 18 more errors' "$(printf 'k%d = 1; ' $(seq 50))"

# ---- rules between keys: the line of each key that breaks one; sizes whose product leaves 31 or 63 bits ----
bad 'c.cfg:1 .model.decoder.heads.' 'model.decoder.heads = 3 does not divide' 'model: { decoder: { heads = 3; kv_heads = 3; }; };'
bad 'c.cfg:2 .model.vision.heads., c.cfg:3 .model.vision.width' 'does not divide' 'model: { vision: {\nheads = 5;\nwidth = 64; }; };'
bad 'c.cfg:2 .model.vision.select_layer' 'the vision tower has 4 blocks' 'model: { vision: {\nselect_layer = -9; }; };'
bad 'c.cfg:1 .model.vision.patch' 'is larger than model.vision.image' 'model: { vision: { patch = 65; }; };'
bad 'c.cfg:1 .model.decoder.width' 'is odd' 'model: { decoder: { width = 12; }; };'
bad 'c.cfg:1 .model.codes.appearance_layer' 'is not before' 'model: { codes: { appearance_layer = -1; }; };'
bad 'c.cfg:1 .train.supervision' 'wants appearance codes' 'train: { supervision = "both"; };'
bad 'c.cfg:3 .model.decoder.vocab.*c.cfg:2 .model.decoder.width' '4294967296 elements' \
    'model: { decoder: {\nwidth = 4096;\nvocab = 1048576; }; };'
bad 'c.cfg:1 .model.codes.depth' '68719476736 elements' 'model: { codes: { depth = 16; size = 65536; }; vision: { width = 65536; }; };'
bad 'c.cfg:1 .train.micro_batch' 'a micro-batch of pictures' 'model: { vision: { image = 4096; }; }; train: { micro_batch = 65536; };'
bad 'c.cfg:1 .train.micro_batch' 'a micro-batch of positions' 'model: { decoder: { max_len = 1048576; }; }; train: { micro_batch = 65536; };'
bad 'c.cfg:1 .model.vision.image' 'leave no room for text' 'model: { vision: { image = 4096; }; };'
bad 'c.cfg:1 .parallel.wire' 'rounds in each exchange' 'parallel: { wire = "bf16"; };'
bad 'c.cfg:1 .data.set' 'are both set' 'data: { set = "a"; shards = "b"; };'

# ---- --set: the argument is the place ----
for arg in train.lr train.lr= train.lr=abc train.lr=nan train.lr=1e999 lr=3 =3 train.steps=99999999999999999999 'train.betas=[0.9]' \
    model.decoder.heads=3 train.stage=x model.decoder.width=-5; do
    bad "--set ${arg//[/.}" '' '' --set "$arg"
done
bad '--set model.decoder.heads=3, c.cfg:1' 'does not divide' 'model: { decoder: { width = 64; }; };' --set model.decoder.heads=3

# ---- a verb says it as `help config` does, before it touches anything ----
printf 'train: { lr = 1000; };' >c.cfg
got=0
"$ASVR" train c.cfg --set run.dir=run >said 2>&1 || got=$?
[ $got = 78 ] && grep -q 'c.cfg:1' said && [ ! -e run ] || fail "train: exit $got"

[ $n -ge 60 ] || fail "only $n cases"
echo "$n bad configurations"
