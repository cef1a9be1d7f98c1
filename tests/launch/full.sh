# A disk that is full when a checkpoint is due: said, training goes on and saves the next one; at the end, or on a request to stop,
# it is final.  Any other failure of a save is final at once.
. "$(dirname "$0")/tools.inc"

small+=(--set ckpt.every=2 --set ckpt.keep=9 --set ckpt.async=false)       # so that faults hit the step that is named
train() { says "$1" "$2" train "$config" "${small[@]}" "${@:3}"; }
saved() { ls $1/ckpt | grep step | tr '\n' ' '; }
said() { [ "$(grep -c "asvr: warning: step $1 is not saved: .*training goes on and tries again" err)" = 1 ] || { cat out err; fail "step $1: not said once"; }; }
says 0 2 pack "$config" "${small[@]}"
train 0 0 --set run.dir=whole

for fault in 0:2:tensors:fail:28 0:2:mkdir:fail:122 1:2:hash:fail:28; do             # ENOSPC, EDQUOT
    rm -rf run
    ASVR_FAULT=$fault train 0 2 --set run.dir=run
    said 2
    [ "$(saved run)" = 'step-00000004 step-00000006 ' ] && [ -z "$(ls -A run/ckpt | grep tmp)" ] || { ls -A run/ckpt; fail "$fault: what is saved"; }
    same_losses whole run
done

ASVR_FAULT=*:3+:tensors:fail:28 train 74 2 --set run.dir=late
said 4
blames 'made to fail'
[ "$(saved late)" = 'step-00000002 ' ] || fail "an older checkpoint is gone: $(saved late)"
train 0 2 --set run.dir=late                               # there is room again
same_losses whole late

ASVR_FAULT=1:3+:hash:fail:28 train 74 2 --set run.dir=async --set ckpt.async=true
grep -q 'step 2 is not saved: .*training goes on and tries again' err || { cat err; fail "a save that training did not wait for"; }
blames 'made to fail'
train 0 2 --set run.dir=async --set ckpt.async=true
same_losses whole async

ASVR_FAULT=0:4:tensors:fail:5 train 74 2 --set run.dir=eio
blames 'made to fail'
[ "$(wc -l <eio/run.jsonl)" = 4 ] || fail "training went on after EIO"

ASVR_FAULT=*:0+:tensors:fail:28,*:1+:log:slow:0.1 begin 2 train "$config" "${small[@]}" --set run.dir=stop --set train.steps=200
at_step 3 stop
set -- $(ranks)
kill -USR1 $2
ended 76
blames 'made to fail'
