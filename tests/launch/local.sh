# ckpt.local: steps kept on the nodes' disks bring a run back when its folder has older ones or none, on another grid, too; what is
# damaged, incomplete or of another run is not taken.
. "$(dirname "$0")/tools.inc"

small+=(--set train.steps=24 --set ckpt.every=3 --set ckpt.local=disk)
says 0 1 pack "$config" "${small[@]}"
says 0 2 train "$config" "${small[@]}" --set run.dir=whole
[ -z "$(ls disk)" ] || fail "a finished run leaves parts on the disk: $(ls disk)"
fingerprint() { "$ASVR" verify "$1/ckpt/step-00000024" | cut -d' ' -f2; }
# killed RUN: dead after step 12 at least, its checkpoints gone, both ranks' parts of two steps there: while a third is written there may be
# those of one alone
killed() {
    begin 2 train "$config" "${small[@]}" --set run.dir=$1
    at_step 12 $1
    while kill -STOP $(ranks) && [ "$(ls disk/asvr-*/step-* | wc -l)" -lt 4 ]; do
        kill -CONT $(ranks)
        sleep 0.01
    done
    kill -9 $(ranks)
    ended any
    rm -rf $1/ckpt
    parts=(disk/asvr-*/step-*)
    [ -f "${parts[0]}" ] || fail "nothing was kept"
}

# ---- another number of ranks carries it on ----
killed gone
says 0 1 train "$config" "${small[@]}" --set run.dir=gone
grep -q "^step [0-9]* was on the nodes' disks" out || { cat out err; fail "it does not say where it is from"; }
! grep -q 'starts from' out || { cat out; fail "it started anew"; }
same_losses whole gone
[ "$(fingerprint whole)" = "$(fingerprint gone)" ] || fail "the weights differ"
[ -z "$(ls disk)" ] || fail "parts are left: $(ls disk)"

# ---- a part that is damaged or missing: said, and the older step that is whole serves; a new run takes nothing ----
killed torn
newest=$(ls disk/asvr-*/ | sort | tail -n 1) && newest=${newest%.*}
flip disk/asvr-*/$newest.rank-00001 $(($(size disk/asvr-*/$newest.rank-00001) - 100))
says 0 2 train "$config" "${small[@]}" --set run.dir=torn --set train.steps=24
grep -q 'cannot be used' err || { cat out err; fail "the damage is not said"; }
same_losses whole torn

killed other
rm -rf other
says 0 2 train "$config" "${small[@]}" --set run.dir=other
grep -q '^starts from' out || { cat out err; fail "a new run took another's parts"; }
same_losses whole other

# ---- the node's disk loses what is being carried: said, and training goes on ----
ASVR_FAULT='0:*:mkdir:slow:1' begin 2 train "$config" "${small[@]}" --set run.dir=swept
at_step 5 swept
mv disk swept.away
ended 0
grep -q 'is not saved' err || { cat err; fail "the loss is not said"; }
same_losses whole swept

# ---- the run's disk is full: tried again with the next checkpoint, not with every step ----
ASVR_FAULT='*:*:layout:fail:28' says 74 0 train "$config" "${small[@]}" --set run.dir=packed --set ckpt.every=6
[ "$(grep -c 'is not saved' err)" -le 3 ] || { cat err; fail "it tries again without a pause"; }

# ---- the node's disk fails: the next checkpoint goes straight to the run's ----
ASVR_FAULT='1:*:keep:fail:5' says 0 2 train "$config" "${small[@]}" --set run.dir=straight --set ckpt.keep=100
[ "$(ls straight/ckpt | grep -c step)" -ge 2 ] || { ls straight/ckpt; fail "nothing was saved before the end"; }
same_losses whole straight
