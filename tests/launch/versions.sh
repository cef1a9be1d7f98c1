# What the program of format version 1 wrote: its shards without an index are read, with a warning; its run goes on.
. "$(dirname "$0")/tools.inc"

golden=$(cd "$(dirname "$config")/../tests/golden/v1" && pwd)
cp -r "$golden"/* .
cp run/run.jsonl theirs
# The losses of steps 3 and 4 as that program had them; another BLAS rounds otherwise.
says 0 0 verify train-00000.h5
grep -q '^ok 6b448da38fe7d462 ' out || { cat out; fail "another fingerprint"; }
says 0 0 verify run/ckpt/step-00000002
grep -q '^ok 2f73db559aae4e06 ' out || { cat out; fail "another fingerprint"; }
for ranks in 0 2; do
    rm -rf run && cp -r "$golden/run" run
    says 0 $ranks train v1.cfg
    grep -q 'resumes from run/ckpt/step-00000002' out && grep -q 'warning: data.shards names shards without an index (version 1)' err ||
        { cat out err; fail "not told what it reads"; }
    mkdir -p was && cp theirs was/run.jsonl
    paste -d' ' <(column loss was) <(column loss run) | awk '
        { d = $2 - $4; if ($1 != $3 || d > 1e-5 * $2 || -d > 1e-5 * $2) exit 1 } END { exit NR != 4 }' || fail "other losses than version 1 had"
done
rm -rf run && cp -r "$golden/run" run
says 78 0 train v1.cfg --set train.lr=2e-3
blames 'another configuration' 'train.lr: 0.001 -> 0.002'
says 78 0 train v1.cfg --set data.shards=train-00000.h5
blames 'another configuration'
says 0 0 train v1.cfg
says 0 2 eval v1.cfg
grep -q '^step 4, 8 samples' out || { cat out; fail "eval of version 1"; }
says 0 0 verify run/ckpt/step-00000004
! grep -q '"version": 1,' run/ckpt/step-00000004/manifest.json || fail "version 1 is still written"
