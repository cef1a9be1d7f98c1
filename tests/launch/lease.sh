# One job a run directory: the second is refused and harms nothing, a later life of the same Slurm job takes over and fences
# the earlier, at whatever write that one stands; what was removed or damaged under a run is said.
. "$(dirname "$0")/tools.inc"

small+=(--set train.steps=24 --set ckpt.every=4 --set ckpt.keep=3)
${CC:-cc} -shared -fPIC -o halt.so "$(dirname "$config")/../tests/launch/halt.c" -ldl
says 0 1 pack "$config" "${small[@]}"
says 0 1 train "$config" "${small[@]}" --set run.dir=whole
fingerprint() { "$ASVR" verify "$1/ckpt/step-00000024" | cut -d' ' -f2; }
same_run() { same_losses whole $1; [ "$(fingerprint whole)" = "$(fingerprint $1)" ] || fail "the weights of $1 differ"; }
# Everything in a folder but the heart's time: names, sizes, contents
state() { find "$1" -type f -exec cksum {} + | sort -k 3; find "$1" -type d | sort; }
stopped() { grep -q ') T ' "/proc/$1/stat" 2>/dev/null; }
until_stopped() { for _ in $(seq 3000); do ! stopped "$1" || return 0; alive "$1" || break; sleep 0.01; done; fail "it did not stop itself"; }
nothing_left() { [ -z "$(find $1 -name '.tmp-*')" ] || fail "left behind: $(find $1 -name '.tmp-*')"; }

# ---- a second job ----
begin 0 train "$config" "${small[@]}" --set run.dir=two
at_step 3 two
first=$job
kill -STOP $first
until_stopped $first
state two >before
for n in 0 2; do
    from=$SECONDS
    got=0
    if [ $n = 0 ]; then "$ASVR" train "$config" "${small[@]}" --set run.dir=two >out2 2>err2 || got=$?
    else mpirun -n $n "$ASVR" train "$config" "${small[@]}" --set run.dir=two >out2 2>err2 || got=$?; fi
    [ $got = 76 ] || { cat out2 err2; fail "a second job ends with $got"; }
    [ $((SECONDS - from)) -lt 20 ] || fail "refused after $((SECONDS - from)) s"
    grep -q "the run directory is in use by host $(hostname), process $first" err2 || { cat err2; fail "it does not name the holder"; }
    [ "$(grep -c '^asvr: error' err2)" = 1 ] || { cat err2; fail "said more than once"; }
done
state two | cmp before - || fail "the refused job changed something"
kill -CONT $first
ended 0
same_run two

# ---- fenced: the earlier life stands still before a rename, a later one runs to the end, the earlier goes on ----
# fenced RUN RANKS AT: AT is what it would rename to
fenced() {
    local run=$1 ranks=$2 pid got=0
    old $ranks $run $3
    pid=$job
    [ $ranks = 0 ] || { for _ in $(seq 500); do pid=$(for p in $(ranks); do ! stopped $p || echo $p; done); [ -z "$pid" ] || break; sleep 0.02; done; }
    [ -n "$pid" ] && until_stopped $pid
    SLURM_JOB_ID=5 SLURM_RESTART_COUNT=1 says 0 0 train "$config" "${small[@]}" --set run.dir=$run
    grep -q "takes $run over from .*job 5, which is fenced" out || { cat out; fail "it does not say whom it fences"; }
    same_run $run
    state $run >before
    kill -CONT $pid
    wait $job || got=$?
    [ $got = 78 ] || { cat old.out old.err; fail "$run: the fenced job ends with $got"; }
    grep -q 'this job is fenced: the folder was taken over by .*job 5, restart 1' old.err || { cat old.err; fail "it does not say by whom"; }
    [ "$(grep -c '^asvr: error' old.err)" = 1 ] || { cat old.err; fail "said more than once"; }
    state $run | diff before - || fail "$run: the fenced job changed something"
    nothing_left $run
}
old() {                                         # RANKS RUN AT
    local go=()
    [ $1 = 0 ] || go=(mpirun -n $1)             # mpirun itself is not to look for a Slurm
    "${go[@]}" env SLURM_JOB_ID=5 SLURM_RESTART_COUNT=0 HALT_AT=$3 LD_PRELOAD=$PWD/halt.so "$ASVR" train "$config" "${small[@]}" \
        --set run.dir=$2 >old.out 2>old.err &
    job=$!
}
fenced manifest 0 step-00000008/manifest.json
fenced commit   0 /step-00000008
fenced latest   0 /latest
fenced config   0 /config.cfg
fenced ranks    2 /step-00000008
fenced delete   0 gone-step-00000004

# ---- a dead holder is followed at once ----
begin 0 train "$config" "${small[@]}" --set run.dir=dead
at_step 6 dead
kill -9 $job
ended any
says 0 2 train "$config" "${small[@]}" --set run.dir=dead
grep -q "^takes dead over from host $(hostname), process $job\$" out || { cat out; fail "it does not say from whom"; }
same_run dead

# ---- the directory is removed, or the log, while the run goes on ----
for what in dir log moved; do
    begin 2 train "$config" "${small[@]}" --set train.steps=100000 --set ckpt.every=0 --set run.dir=gone
    at_step 5 gone
    case $what in dir) rm -rf gone ;; log) rm gone/run.jsonl ;; moved) mv gone/run.jsonl elsewhere ;; esac
    ended 74
    blames "$([ $what = dir ] && echo 'removed or renamed while a job has it' || echo 'run.jsonl was removed or replaced')" gone
    [ $what != dir ] || [ ! -e gone/ckpt ] || fail "it made the folder again"
    rm -rf gone
done

# ---- run.jsonl: nothing wrong, nothing written; damage is said, and kept ----
cp -r whole log
was=$(stat -c %i log/run.jsonl)
says 0 0 train "$config" "${small[@]}" --set run.dir=log
[ ! -s err ] || { cat err; fail "complaints about a log that is whole"; }
[ $was = $(stat -c %i log/run.jsonl) ] && cmp whole/run.jsonl log/run.jsonl || fail "run.jsonl was written anew"
sed -n 5p log/run.jsonl >double
sed -i -e '3s/"lr": \(.\)/"lr": 9\1/' -e '7,8d' -e 20d log/run.jsonl
cat double >>log/run.jsonl
printf '{"step": 25, "ti' >>log/run.jsonl
says 0 0 train "$config" "${small[@]}" --set run.dir=log
for text in '1 damaged line (the first is line 3)' 'steps that it has already (the first is line 22, step 5)' 'lacks the lines of steps 3, 7 to 8, 20,'; do
    grep -qF -- "$text" err || { cat err; fail "not said: $text"; }
done
[ "$(wc -l <log/run.jsonl)" = 20 ] && [ "$(wc -l <log/run.damaged.jsonl)" = 2 ] || fail "lines were lost"
says 0 0 train "$config" "${small[@]}" --set run.dir=log
grep -q 'lacks the lines' err && ! grep -q damaged err || { cat err; fail "a second time"; }
rm log/run.jsonl
says 0 0 train "$config" "${small[@]}" --set run.dir=log
grep -qF 'lacks the lines of steps 1 to 24,' err || { cat err; fail "a log that is gone is not missed"; }
cp -r whole full
sed -n 5p whole/run.jsonl >>full/run.jsonl
mkdir full/run.damaged.jsonl
cp full/run.jsonl before
says 74 0 train "$config" "${small[@]}" --set run.dir=full
blames 'full/run.damaged.jsonl'
cmp before full/run.jsonl || fail "a failed rewrite changed the log"
nothing_left full

# ---- the checkpoints vanish ----
for what in ckpt 'ckpt/step-*'; do
    rm -rf van
    cp -r whole van
    rm -r van/$what
    for n in 0 2; do
        says 74 $n train "$config" "${small[@]}" --set run.dir=van
        blames van/ckpt 'run.fresh = true'
    done
    cmp whole/run.jsonl van/run.jsonl || fail "run.jsonl of a run without checkpoints was changed"
    says 0 0 train "$config" "${small[@]}" --set run.dir=van --set run.fresh=true
    same_run van
done
says 0 0 train "$config" "${small[@]}" --set run.dir=van --set run.fresh=true
grep -q 'all 24 steps are done' out || fail "run.fresh begins anew where there are checkpoints"

# ---- what a killed import leaves does not stand in the way of the next ----
wide=(--set model.decoder.vocab=832)          # an export has 64 rows more, for <image>
says 0 0 export "$config" "${small[@]}" --set export.from=whole --set export.to=hf
says 0 0 import "$config" "${small[@]}" "${wide[@]}" --set import.from=hf --set import.to=imported
imported=$("$ASVR" verify imported/ckpt/step-00000000 | cut -d' ' -f2)
for at in /hf /manifest.json /step-00000000; do
    ! LD_PRELOAD=$PWD/halt.so HALT_BY=KILL HALT_AT=$at "$ASVR" import "$config" "${small[@]}" "${wide[@]}" --set import.from=hf --set import.to=again >out 2>err ||
        fail "it was not killed at $at"
    [ ! -e again/ckpt/step-00000000 ] || fail "killed too late"
    says 0 0 import "$config" "${small[@]}" "${wide[@]}" --set import.from=hf --set import.to=again
    nothing_left again
    [ "$("$ASVR" verify again/ckpt/step-00000000 | cut -d' ' -f2)" = "$imported" ] && diff -r imported/hf again/hf || fail "an import after a killed one differs"
    rm -r again
done
! LD_PRELOAD=$PWD/halt.so HALT_BY=KILL HALT_AT=hf2 "$ASVR" export "$config" "${small[@]}" --set export.from=whole --set export.to=hf2 >out 2>err ||
    fail "it was not killed"
says 0 0 export "$config" "${small[@]}" --set export.from=whole --set export.to=hf2
diff -r hf hf2 || fail "an export after a killed one differs"
nothing_left .

# ---- a full standard output: what was asked for is lost, a run is not ----
for words in 'help' 'help options' version "plan $config" "verify whole/ckpt/step-00000024"; do
    got=0
    "$ASVR" $words >/dev/full 2>err || got=$?
    [ $got = 74 ] || { cat err; fail "asvr $words >/dev/full: exit $got"; }
    blames 'standard output'
done
"$ASVR" train "$config" "${small[@]}" --set run.dir=stdout >/dev/full 2>err || { cat err; fail "a full stdout ended a run"; }
same_run stdout

# ---- a file that may not grow is an error, not a signal ----
begin 0 train "$config" "${small[@]}" --set run.dir=limit --set train.steps=100000 --set ckpt.every=2000
at_step 3 limit
prlimit --pid $job --fsize=8192
kill -USR1 $job
ended 74
blames 'File too large'
nothing_left limit
