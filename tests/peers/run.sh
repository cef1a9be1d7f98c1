#!/bin/bash
# tests/peers/run.sh [NAME]...: what asvr writes and reads beside the tools that people use, one line a claim:
#
#     ok   claim: figures        FAIL claim: ...        skip claim: what is missing
#
# Without a name all programs, else those whose name contains one.  Exit 1 if any claim fails, or none was made.
#   check_*.py   $NEW, the interpreter with the newest packages          check_*.sh   bash
# Each gets: ASVR, ANSWERS (programs), NEW and OLD (interpreters: newest, and transformers 4.4x), TMP (a folder of its own).  check_kits.py has an
# interpreter of its own, KITS, with lmms-eval.
# NEW, OLD and KITS may be set to other environments than build/peers, build/peers/old and build/peers/kits.
set -u
names=$(IFS='|'; echo "$*")
cd "$(dirname "$0")/../.." || exit 1
export NEW=${NEW:-$PWD/build/peers/bin/python} OLD=${OLD:-$PWD/build/peers/old/bin/python} KITS=${KITS:-$PWD/build/peers/kits/bin/python}
export ASVR=$PWD/build/asvr ANSWERS=$PWD/build/tests/peers/answers ASVR_MODULES=$PWD/build
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none
export OMPI_MCA_btl_vader_single_copy_mechanism=none HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=error TOKENIZERS_PARALLELISM=false
export PYTHONDONTWRITEBYTECODE=1 OMP_NUM_THREADS=${OMP_NUM_THREADS:-2} OMP_WAIT_POLICY=passive

programs=(tests/peers/check_*.py tests/peers/check_*.sh "tests/peers/templates.py build" tests/peers/tokenizers_ids.py)
work=$(mktemp -d "${TMPDIR:-$PWD/build}/peers.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT

"$NEW" - <<'PY' || { echo "FAIL the packages of tests/peers/requirements.txt are not there: \`make peers\` installs them"; exit 1; }
import importlib.metadata as m, platform
names = "torch torchvision transformers peft tokenizers sentencepiece safetensors pillow numpy jinja2 h5py hdf5plugin pyarrow gguf tensorboard openai".split()
print("python %s, " % platform.python_version() + ", ".join("%s %s" % (n, m.version(n)) for n in names))
PY
"$OLD" -c 'import transformers, tokenizers; print("beside it: transformers %s, tokenizers %s" % (transformers.__version__, tokenizers.__version__))' || exit 1

ok=0 bad=0 skipped=0
for line in "${programs[@]}"; do
    read -r program args <<<"$line"
    [ -f "$program" ] || continue
    if [ -n "${names-}" ] && ! grep -qE "$names" <<<"$program"; then continue; fi
    name=$(basename "$program")
    export TMP=$work/$name
    mkdir "$TMP"
    case $name in *.sh) with=bash ;; check_kits.py) with=$KITS ;; *) with=$NEW ;; esac
    "$with" "$program" $args 2>"$work/err" | tee "$work/out" | grep --line-buffered -aE '^(ok|FAIL|skip)'
    code=${PIPESTATUS[0]}
    n=$(grep -acE '^FAIL' "$work/out")
    ok=$((ok + $(grep -acE '^ok' "$work/out"))) skipped=$((skipped + $(grep -acE '^skip' "$work/out")))
    if [ $code != 0 ] && [ "$n" = 0 ]; then
        echo "FAIL $program ended with $code:"
        tail -n 15 "$work/out" "$work/err" | sed 's/^/     | /'
        n=1
    fi
    bad=$((bad + n))
    rm -rf "$TMP"
done
echo "$ok claims hold, $bad do not, $skipped were not tried"
[ "$bad" = 0 ] && [ "$ok" -gt 0 ]
