# A signal to any rank, or to the launcher: all ranks save the same step and exit with 75, and the same command goes on.
. "$(dirname "$0")/tools.inc"

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
goes_on() {                                     # RANKS RUN
    says 0 $1 train "$config" "${small[@]}" --set run.dir=$2
    same_losses whole $2
}

# ---- one rank, each in turn ----
for signal in USR1 TERM; do
    begin 2 train "$config" "${small[@]}" --set run.dir=$signal
    at_step 5 $signal
    set -- $(ranks)
    if [ $signal = TERM ]; then kill -TERM $1; else kill -USR1 $2; fi
    ended 75
    stopped $signal
    goes_on 2 $signal
done

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

# ---- asked twice: it stops at once and saves nothing; the next start is exact all the same ----
begin 0 train "$config" "${small[@]}" --set run.dir=twice
at_step 5 twice
kill -STOP $job                                 # so that both signals are there before the next step
kill -INT $job
kill -USR1 $job
kill -CONT $job
ended 76
grep -q '^stopped at once' out || { cat out; fail "nobody says that it stopped unsaved"; }
! ls twice/ckpt 2>/dev/null | grep step || fail "asked twice, it saved"
goes_on 0 twice
