# A signal to any rank, or to the launcher: all ranks save the same step and exit with 75, and the same command goes on.
. "$(dirname "$0")/tools.inc"
unset OMPI_MCA_ess_singleton_isolated

small+=(--set train.steps=24)
says 0 1 pack "$config" "${small[@]}"
says 0 2 train "$config" "${small[@]}" --set run.dir=whole

stopped() {                                     # RUN: after a step before the last, which is saved
    local last
    last=$(column world $1 | tail -1 | cut -d' ' -f1)
    [ "$last" -lt 24 ] || fail "$1 was not stopped"
    [ "$(ls $1/ckpt | grep step | tail -1)" = "$(printf step-%08d $last)" ] || fail "step $last was logged last, saved are: $(ls $1/ckpt)"
    grep -q "^stopped after step $last on request" out || { cat out; fail "nobody says where it stopped"; }
    ! grep -q 'asvr: error' err || { cat err; fail "a stop is not an error"; }
}
goes_on() {                                     # RANKS RUN ARGS...
    says 0 $1 train "$config" "${small[@]}" --set run.dir=$2 "${@:3}"
    same_losses whole $2
}

# ---- one rank, each in turn; for TensorBoard a file a life, in them the log's steps.  It is none of what determines a run ----
for signal in USR1 TERM; do
    begin 2 train "$config" "${small[@]}" --set run.dir=$signal --set run.tensorboard=$([ $signal = USR1 ] && echo true || echo false)
    at_step 5 $signal
    set -- $(ranks)
    if [ $signal = TERM ]; then kill -TERM $1; else kill -USR1 $2; fi
    ended 75
    stopped $signal
    first=$(wc -l <$signal/run.jsonl)
    [ $signal = USR1 ] || [ ! -e TERM/tensorboard ] || fail "events that nobody asked for"
    goes_on 2 $signal --set run.tensorboard=true
    counted=$(for f in $signal/tensorboard/events.out.tfevents.*; do grep -ao loss/text $f | wc -l; done)
    [ "$(echo $counted)" = "$([ $signal = TERM ] || echo "$first ")$((24 - first))" ] ||
        fail "steps in the event files of $signal: $(echo $counted); in the log: $first, then the rest"
done
says 0 0 train "$config" "${small[@]}" --set run.dir=USR1 --set run.tensorboard=true
[ "$(ls USR1/tensorboard | wc -l)" = 2 ] || fail "a run that is done has written: $(ls USR1/tensorboard)"

# ---- the launcher: it passes USR1 on to all, and TERM with a KILL a second later ----
begin 2 train "$config" "${small[@]}" --set run.dir=launcher
at_step 5 launcher
kill -USR1 $job
ended 75
stopped launcher
goes_on 2 launcher

OMPI_MCA_odls_base_sigkill_timeout=1 begin 2 train "$config" "${small[@]}" --set run.dir=term
at_step 5 term
kill -TERM $job
ended any
goes_on 2 term

# ---- without a launcher; stopped twice ----
says 0 0 train "$config" "${small[@]}" --set run.dir=alone
mv alone whole.1 && rm -r whole && mv whole.1 whole
for at in 5 12; do
    begin 0 train "$config" "${small[@]}" --set run.dir=alone
    at_step $at alone
    kill -INT $job
    ended 75
    stopped alone
    rm alone/ckpt/latest
    touch alone/ckpt/latest
    [ $at = 12 ] || cp -r alone first
done
goes_on 0 alone
column restart alone | awk '$1 == 24 && $2 != 2 { exit 1 }' || fail "restarts are not counted"

# ---- two signals within a moment (Slurm's TERM) are one request; with no grace they are two: at once, and nothing is saved ----
twice() {                                       # RUN SETS...: both signals are there before the next step
    begin 0 train "$config" "${small[@]}" --set run.dir=$1 "${@:2}"
    at_step 5 $1
    kill -STOP $job
    kill -INT $job
    kill -TERM $job
    kill -CONT $job
}
twice moment
ended 75
stopped moment
goes_on 0 moment

twice at_once --set stop.grace=0
ended 76
grep -q '^stopped at once' out || { cat out; fail "nobody says that it stopped unsaved"; }
! ls at_once/ckpt 2>/dev/null | grep step || fail "asked twice, it saved"
goes_on 0 at_once

# ---- the same while a save is under way: its thread asks for the lease until the process has ended, so that is not given back ----
ASVR_FAULT='0:*:manifest:slow:20' twice under_way --set stop.grace=0 --set ckpt.every=4
ended 76
ls under_way/ckpt/.tmp-* >/dev/null || fail "no save was under way"
grep -q '"held": *true' under_way/.lease || { cat under_way/.lease; fail "the lease was given back under a thread that asks for it"; }
goes_on 0 under_way

# ---- as soon as the program has a handler, before MPI is up: nothing is lost ----
begin 0 train "$config" "${small[@]}" --set run.dir=early
until (( 16#$(sed -n 's/^SigCgt:\s*//p' /proc/$job/status) & 16#4000 )); do alive $job || fail "it never had a handler"; done
kill -TERM $job
ended 75
grep -q '^stopped after step 0 on request' out || { cat out; fail "a signal before MPI_Init was lost"; }
goes_on 0 early

# ---- verbs that never look end by the signal ----
mkfifo words
{ printf 'P6\n64 64\n255\n'; head -c 12288 /dev/zero; } >black.ppm
"$ASVR" chat "$config" "${small[@]}" --set run.dir=whole --set chat.image=black.ppm <words >out 2>err &
job=$!
exec 3>words
sleep 1
alive $job || { cat err; fail "chat does not wait for a question"; }
kill -TERM $job
ended 143
exec 3>&-

# ---- a step that will not end before the job does is not begun ----
end=$(($(date +%s) + 16))
begin 2 train "$config" "${small[@]}" --set run.dir=late --set train.steps=1000000 --set stop.deadline=$end
ended 75
[ "$(date +%s)" -le $end ] || fail "it ended behind its deadline"
grep -q "^the job's time is not enough for step" out || { cat out; fail "nobody says why it stopped"; }
ls late/ckpt | grep -q step || fail "it was not saved in time"
SLURM_JOB_END_TIME=$end says 75 2 train "$config" "${small[@]}" --set run.dir=later

# ---- long steps: asked in the middle of one, it is left between micro-batches; the next start does it again ----
long=("${small[@]}" --set train.steps=2 --set train.micro_batch=1 --set train.global_batch=2400 --set parallel.zero=1)
says 0 2 train "$config" "${long[@]}" --set run.dir=long
begin 2 train "$config" "${long[@]}" --set run.dir=left
at_step 1 left
sleep 0.5
set -- $(ranks)
kill -USR1 $2
ended 75
[ "$(wc -l <left/run.jsonl)" = 1 ] || fail "the step was not left"
grep -q "^stopped after step 1 on request" out || { cat out; fail "nobody says where it stopped"; }
says 0 2 train "$config" "${long[@]}" --set run.dir=left
same_losses long left
