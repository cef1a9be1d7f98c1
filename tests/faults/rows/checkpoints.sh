# checkpoints.sh -- rows 6, 7, 9 and 17: checkpoints that are damaged, all of them, a disk that fails, other versions

# A run that stopped after step 17 (killed), with the checkpoints of steps 10 and 15, which are whole before the steps after them.
stopped_run() { disturbed '*:17:data:kill' train 137 "${1:-1}" --set ckpt.async=false; }
# FILE DAMAGE: of the newest checkpoint; the one before it is taken, and the damaged one named
damaged() {
    local bad=run/ckpt/$(step_name 15)
    stopped_run
    if [ "$2" = gone ]; then rm "$bad/$1"
    else "$tools/corrupt" "$bad/$1" "$RANDOM" "$2" || { [ $? = 2 ] && return 0; }; fi     # 2: this changed nothing
    says '65|74' 0 verify "$bad"
    [ "$code" = 65 ] || said 'damage is bad data: 65'
    blames "$(basename "$bad")"
    goes_on "$(pick 1 2 4)"
    resumed_from 10
    blames 'is not valid and is passed over' "$(step_name 15)"
}
# Bits in the elements, in HDF5's own bytes in front of them, in the manifest.
damage_of() {
    local size=$1
    case $2 in
    front) echo flip:$(draw 16384) ;;
    one) echo cut:$((size - 1)) ;;
    half) echo cut:$((size / 2)) ;;
    *) echo "$2" ;;
    esac
}
row_6() {
    local f d size
    row 6 'checkpoint truncated, one bit flipped anywhere'
    for i in $(seq "$(times 1 8)"); do
        for f in tensors.h5 manifest.json; do
            size=$(stat -c %s "$base/whole/ckpt/$(step_name 15)/$f")
            for d in gone cut:0 one half flip front zero swap fill grow; do
                [ "$mode" = full ] || case $f:$d in manifest.json:front | manifest.json:swap | tensors.h5:fill) continue ;; esac
                trial "$f $d" damaged $f "$(damage_of "$size" $d)"
            done
        done
    done
    flips 'bits of a checkpoint' "$base/whole/ckpt/$(step_name $steps)"
}
# NAME PATH: many bits, one after the other, in one process
flips() {
    local said=$("$tools/flips" "$(times 1000 10000)" "$seed" "$2" 2>&1) || true
    set -- "$1" $(sed -n 's/^\([0-9]*\) flips, \([0-9]*\) found$/\1 \2/p' <<<"$said")
    count "$1" "${3:-0}" "${2:-1}"
    [ "${2:-1}" = "${3:-0}" ] || say "$said" >"$logs/$row-flips.log"
}

# Each checkpoint damaged in its own way: refused by name, and nothing is touched.
all_bad() {
    stopped_run 2
    local c
    for c in run/ckpt/step-*; do "$tools/corrupt" "$c/$(pick tensors.h5 manifest.json)" "$RANDOM" flip; done
    cp -r run was
    train 74 "$1"
    once
    blames 'no valid checkpoint left among 2' "$(step_name 15)" "$(step_name 10)"
    diff -r -x .lease was run || fail 'a refused start changed something'
}
# No checkpoint at all, but a log that says there were steps: not silently from step 0.
none_left() {
    stopped_run
    case $2 in
    steps) rm -r run/ckpt/step-* ;;
    steps+latest) rm -r run/ckpt/step-* run/ckpt/latest ;;
    folder) rm -r run/ckpt ;;
    esac
    cp run/run.jsonl was
    train 74 "$1"
    once
    blames checkpoint
    cmp was run/run.jsonl
}
row_7() {
    row 7 'all checkpoints bad, or gone'
    for n in 1 2; do
        for i in $(seq "$(times 1 10)"); do trial 'all bad' all_bad $n; done
        for w in steps steps+latest folder; do trial "no $w" none_left $n $w; done
    done
}

# ---- the disk ----

# What calls a run makes below its folder, and what a start from a checkpoint makes here: lines "RANK CALL N".
counts() { local r; for r in count.*; do sed "s/^/${r#count.} /" "$r"; done | grep -v bytes; }
calls_of_run() { faulty="path=$PWD/run,count=$PWD/count" train 0 "$1"; counts >"$work/calls"; }
calls_of_start() {
    stopped_run "$1"
    faulty="path=$PWD,count=$PWD/count" train 0 "$1"
    counts | grep -E ' (open|read|pread|flock) ' >"$work/starts"
}
# RANKS RANK CALL NTH ERRNO: a run meets one failure
one_fails() {
    local codes
    case $5 in
    ENOSPC | EDQUOT) codes='0|74' ;;                        # 74: the checkpoint of the last step, or at start
    EINTR | short) codes=0 ;;
    *) codes='0|74' ;;
    esac
    if [ "$5" = short ]; then faulty="rank=$2,path=$PWD/run,call=$3,nth=$4,short=1" train "$codes" "$1"
    else faulty="rank=$2,path=$PWD/run,call=$3,nth=$4,errno=$5" train "$codes" "$1"; fi
    # An orderly end leaves no temporary folder, unless it said that it could not, and every checkpoint whole.
    [ -z "$(find run -name '.tmp-*' 2>/dev/null)" ] || grep -q 'warning: cannot remove' err || said "left behind: $(find run -name '.tmp-*')"
    checkpoints_valid maybe
    if [ $code = 74 ]; then
        once
        grep -qE '^  where     ([^ ]*/)?run[/,]' err || said 'which file?'
        case $5:$(lines) in ENOSPC:0 | EDQUOT:0) ;; ENOSPC:$steps | EDQUOT:$steps) ;; ENOSPC:* | EDQUOT:*) said "a full disk in step $(lines) ended training" ;; esac
    elif ! grep -q 'warning: cannot remove' err; then
        like_whole
    fi
    goes_on "$(pick 1 2)"
}
# ERRNO CALL NTH TIMES RANK: full for a while, less than there are saves: training goes on, and tries again.
disk_full() {
    faulty="rank=$5,path=/run/ckpt,call=$2,nth=$3,times=$4,errno=$1" train 0 2
    blames 'asvr: warning'
    like_whole
}
errors_for() {
    case $1 in
    write | pwrite) echo "ENOSPC EDQUOT EIO EINTR short" ;;
    read | pread) echo "EIO EINTR short" ;;
    fsync | fdatasync) echo "EIO ENOSPC EINTR" ;;
    close) echo "EIO ENOSPC EDQUOT EINTR" ;;
    create) echo "ENOSPC EDQUOT EIO EINTR" ;;
    mkdir | fallocate | ftruncate | rename) echo "ENOSPC EDQUOT EIO" ;;
    open | unlink | rmdir | flock) echo "EIO EINTR" ;;
    esac
}
row_9() {
    local rank call n k e
    row 9 'ENOSPC, EDQUOT, EIO, short, EINTR at any call'
    for i in $(seq "$(times 1 5)"); do
        trial 'full for a write' disk_full ENOSPC pwrite $((20 + $(draw 200))) 1 "$(draw 2)"
        trial 'full for a while' disk_full ENOSPC 'create|fallocate|pwrite' 2 $((2 + $(draw 3))) "$(draw 2)"
        trial 'over quota' disk_full EDQUOT fallocate 1 2 0
    done
    trial 'counting' calls_of_run 2
    while read -r rank call n; do
        for e in $(errors_for $call); do
            if [ "$mode" = full ]; then
                for k in $(seq "$n"); do                    # of hundreds of equal writes some
                    [ "$n" -lt 100 ] || [ $((k % (n / 50))) = 0 ] || continue
                    trial "$call $e" one_fails 2 "$rank" "$call" "$k" "$e" </dev/null
                done
            elif [ "$(draw 4)" = 0 ]; then
                trial "$call $e" one_fails 2 "$rank" "$call" $((1 + $(draw "$n"))) "$e" </dev/null
            fi
        done
    done <"$work/calls"
    trial 'counting' calls_of_start 2
    while read -r rank call n; do
        for k in $(seq "$(times 2 "$n")"); do
            [ "$mode" = full ] || k=$((1 + $(draw "$n")))
            [ "$n" -lt 100 ] || [ "$mode" = quick ] || [ $((k % (n / 50))) = 0 ] || continue
            trial "$call at a start" start_fails "$rank" "$call" "$k" </dev/null
        done
    done <"$work/starts"
    for p in open load data mkdir layout tensors hash manifest rename; do
        for r in 0 1; do [ "$mode" = quick ] && [ $r = 0 ] || trial "$p fails on one rank" point_fails $r $p; done
    done
}
start_fails() {
    stopped_run 2
    faulty="rank=$1,path=$PWD,call=$2,nth=$3,errno=EIO" train '0|65|74' 2
    [ "$code" = 0 ] || once
    goes_on 2
}
point_fails() {
    local at=15
    case $2 in open | load) at=0 ;; esac
    [ $at = 15 ] || stopped_run 2
    disturbed "$1:$at:$2:fail" train '0|74' 2
    [ "$code" = 0 ] || once
    goes_on 2
}

newer_format() {
    stopped_run
    "$tools/corrupt" "run/ckpt/$(step_name 15)/manifest.json" 0 newer
    train 65 "$1"
    once
    blames 9 "$(step_name 15)"
}
row_17() {
    row 17 'checkpoint of an older, of a newer format'
    program launch/versions
    program io/ckpt/test_manifest
    for n in 1 2; do trial 'a newer one' newer_format $n; done
}
