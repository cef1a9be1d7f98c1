# What is said of a bad configuration, all at once and with its place; what is right comes back unchanged.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cd "$TMP"
mkdir part

# show ARGS...: the effective configuration, or the errors; the exit code is said where it is not 0
show() { "$ASVR" help config "$@" 2>&1 || echo "exit $?"; }
fail() { echo "$*"; exit 1; }

# ---- every kind of error, in one file that includes another ----
cat >bad.cfg <<'C'
run: { dir = "x"; sede = 3; };                          # unknown: the nearest key
model: {
    vision: { image = 5000000000; width = "wide";       // beyond 32 bits, and not wrapped; a text
              heads = 3.5; };                           /* a fraction */
    decodr: { width = 3; };                             # an unknown group
    head = 3;                                           # a group as a value
};
@include "part/train.cfg"
data: { fit = "streched"; samples = 1e400; level = -1; };
parallel: { pp = 2; };
learning_rate = 1.0;
C
cat >part/train.cfg <<'C'
# relative to this file:
@include "eval.cfg"
train: {
    lr = 1000.0;  betas = [0.9, 2.0];
    eps = true;   stage = 3;  clip = "1";
    decay = { a = 1; };  steps = (1, 2);  global_batch = 0;
};
C
echo 'eval: { samples = -1; }; ckpt: { keep = true; };' >part/eval.cfg
{
    echo "== all at once"
    show bad.cfg --set train.lr=abc --set lr=3 --set train.steps --set data.fit=padd --set train.lr=nan \
         --set train.steps=99999999999999999999 --set 'train.betas=[0.9]' --set model.decoder.width=-5

    echo "== include loop"
    echo '@include "b.cfg"' >a.cfg
    printf '\n  @include "a.cfg"\n' >b.cfg
    show a.cfg
    echo "== includes"
    printf 'run: { seed = 1; };\n@include "none.cfg"\n' >c.cfg
    show c.cfg
    echo '@include none.cfg' >c.cfg
    show c.cfg
    echo "== files"
    show none.cfg
    show part
    printf 'run: {\0};' >zero.cfg
    show zero.cfg
    echo "== syntax"
    printf 'run: {\n  seed 3;\n};\n' >c.cfg
    show c.cfg
    printf 'run: { seed = 3; };\nrun: { dir = "x"; };\n' >c.cfg
    show c.cfg

    echo "== keys that must agree"
    : >empty.cfg
    show empty.cfg --set model.decoder.heads=3 --set model.vision.heads=5 --set model.vision.select_layer=-5 \
         --set model.codes.layer=-9 --set model.head.heads=7
    show empty.cfg --set model.decoder.width=12 --set model.vision.patch=65 --set model.decoder.kv_heads=3
    show empty.cfg --set model.vision.image=4096
    show empty.cfg --set model.codes.depth=16 --set model.codes.size=65536 --set model.vision.width=65536 \
         --set model.decoder.vocab=1048576 --set model.decoder.width=4096
} >said
[ -z "${UPDATE:-}" ] || cp said "$here/config.expected"          # UPDATE=1 tests/run.sh BUILD config, then read git diff
diff "$here/config.expected" said

# ---- round trip: what is printed loads back to the same bits; numbers keep all of them ----
cat >good.cfg <<'C'
/* @include "none.cfg" stands in a comment, 12 too */
run: { dir = "a \"b\" \\ 0x10 @include // # 7"; seed = 9007199254740991; };
train: { lr = 0.1234567890123456; betas = (0, 0.333333333333333315); steps = 5000000000; epochs = .5; clip = 2; };
C
show good.cfg >once
show once >twice
cmp once twice || fail "the printed configuration does not load back to itself"
for line in 'dir = "a \\"b\\" \\\\ 0x10 @include // # 7";' 'seed = 9007199254740991;' 'lr = 0.1234567890123456;' \
            'betas = \[0.0, 0.3333333333333333\];' 'steps = 5000000000;' 'epochs = 0.5;' 'clip = 2.0;'; do
    grep -q "^ *$line\$" once || fail "the printed configuration lacks $line"
done

# ---- --set goes last, from left to right, by the option's type ----
show good.cfg --set train.lr=1 --set train.lr=3e-4 --set train.stage=pretrain --set text.model=12 \
     --set model.codes.shared=true --set 'train.betas=[0.5, 0.75]' --set chat.question='a = "b"?' --set chat.image= >set
for line in 'lr = 0.0003;' 'stage = "pretrain";' 'model = "12";' 'shared = true;' 'betas = \[0.5, 0.75\];' \
            'question = "a = \\"b\\"?";' 'image = "";'; do
    grep -q "^ *$line\$" set || fail "--set did not give $line"
done

# ---- the hash knows what determines the result, and nothing else ----
hash_of() { show good.cfg "$@" | grep '^# hash'; }
plain=$(hash_of)
for same in run.dir=other ckpt.every=7 parallel.threads=3 chat.max_new=1 eval.samples=2 train.clip=2; do
    [ "$(hash_of --set $same)" = "$plain" ] || fail "the hash depends on $same"
done
for other in run.seed=1 train.lr=1 model.head.layers=1 data.last=wrap train.supervision=none; do
    [ "$(hash_of --set $other)" != "$plain" ] || fail "the hash does not depend on $other"
done

# ---- a verb that reads a run needs to know which ----
for verb in eval chat spectrum; do
    got=0
    "$ASVR" $verb empty.cfg --set data.set=x --set chat.image=x >out 2>err || got=$?
    [ $got = 78 ] && grep -q "^asvr: error: .asvr $verb. needs run.dir$" err || { cat err; fail "exit $got of $verb without run.dir, expected 78"; }
done

# ---- with several ranks: once, and the same exit code ----
got=0
mpirun -n 2 "$ASVR" train bad.cfg >out 2>err || got=$?
[ $got = 78 ] || fail "exit $got, expected 78"
[ "$(grep -c 'run.sede' err)" = 1 ] || fail "an error was not printed once"
got=0
mpirun -n 3 "$ASVR" train empty.cfg --set data.set=x --set run.dir=x --set train.steps=1 >out 2>err || got=$?
[ $got = 78 ] && grep -q 'train.global_batch = 32 .* 3 replicas' err || fail "exit $got, expected 78 for 3 ranks"
