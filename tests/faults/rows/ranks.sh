# ranks.sh -- rows 10, 11, 13, 14 and 15: ranks that hang, are slow, compute nonsense; runs that change their size

# RANKS RANK POINT STEP: stopped there for ever; the others name it and end
hangs() {
    local t=$SECONDS
    disturbed "$2:$4$5:$3:stop" train 80 "$1" --set watch.timeout=2
    [ $((SECONDS - t)) -le 60 ] || fail "it took $((SECONDS - t)) s"
    blames "rank $2" "$(hostname)"
    [ "$4" = 0 ] || [ -n "$5" ] || blames "step $4"
    [ "$4" = 0 ] || checkpoints_valid maybe
    goes_on "$(pick 1 2)"
}
# RANK SAMPLE: the same while a shard is made; the next start goes on
pack_hangs() {
    disturbed "$1:$2:data:stop" says 80 2 pack "$config" "${small[@]}" --set data.set=mine/index.set --set watch.timeout=0.5
    blames "rank $1" "$(hostname)"
    once
    says 0 2 pack "$config" "${small[@]}" --set data.set=mine/index.set
    diff <(ls data/) <(ls mine) || fail 'another data set'      # names hold hashes
}
row_10() {
    row 10 'SIGSTOP of a rank'
    for p in data forward reduce $(times '' 'backward optim log'); do
        for i in $(seq "$(times 1 4)"); do n=$(pick 2 4); trial "in $p" hangs "$n" "$(draw "$n")" $p $((2 + $(draw 12))) ''; done
    done
    for p in tensors $(times '' 'layout hash prune'); do trial "in $p" hangs 2 "$(draw 2)" $p $((every * (1 + $(draw 3)))) +; done
    for p in manifest $(times '' 'mkdir rename latest'); do trial "in $p" hangs 2 0 $p $((every * (1 + $(draw 3)))) +; done
    trial 'at start' hangs 2 1 open 0 ''
    for i in $(seq "$(times 1 5)"); do r=$(draw 2); trial 'in pack' pack_hangs $r $((1 + 16 * r + 32 * $(draw 3) + $(draw 16))); done
}

# RANKS RANK: five times slower than the others from step 5 on; named, not killed, and the run is what it is
slow() {
    disturbed "$2:5:forward:slow:0.2" train 0 "$1"
    grep -qE '"straggler": \{[^}]*"rank": '"$2[,}]" run/run.jsonl || { tail -n 1 run/run.jsonl; fail "nobody names rank $2"; }
    ! head -n 4 run/run.jsonl | grep -q '"straggler": {' || fail 'named before it was slow'
    grep -E "rank $2" out err | grep -qi 'slow\|straggler' || said 'no line says so'
    like_whole
}
nobody_slow() {
    train 0 "$1"
    ! grep -q '"straggler": {' run/run.jsonl || { grep '"straggler": {' run/run.jsonl | head -n 3; fail 'nobody was slow'; }
}
row_11() {
    row 11 'a rank five times slower'
    for i in $(seq "$(times 1 5)"); do for n in 2 4; do trial "of $n" slow $n "$(draw $n)"; done; done
    trial 'nobody' nobody_slow 2
}

# ---- row 13 ----

# NAME RANKS RANK FAULT...: the step is skipped alike, whoever had the trouble: the first run of a name is the measure
skips() {
    local name=$1 n=$2 r=$3 what=$4
    shift 4
    disturbed "$r:25:$what" train 0 "$n" "$@"          # by then there are norms enough to know a spike
    grep -qE 'step 25 is skipped' err || said 'no word of the skipped step'
    [ "$(column skipped run | sed -n 24,25p | tr '\n' ' ')" = '24 0 25 1 ' ] || fail "the log counts: $(column skipped run | sed -n 24,25p | tr '\n' ' ')"
    # The samples named are those of the rank that had the trouble; of a gradient that went wrong once and is summed since nobody can tell.
    local by="that of rank $r \($(hostname)\), samples [0-9]"
    [ $name = nan.forward ] || by="$by|arithmetic erred$"
    grep 'step 25 is skipped' err | grep -qE "$by" || said "whose samples?"
    [ -e "$work/skips.$name" ] || { column loss_hex run; fingerprint "run/ckpt/$(step_name $steps)"; } >"$work/skips.$name"
    { column loss_hex run; fingerprint "run/ckpt/$(step_name $steps)"; } | diff "$work/skips.$name" - || fail 'it goes on otherwise'
}
too_many() {
    disturbed '1:12+:backward:nan' train 79 2 --set train.skip_limit=3
    once
    blames 'steps in a row'
    checkpoints_valid
    goes_on 2 --set train.skip_limit=3
}
# A bit of a weight turns in one rank's memory: it may not be saved as valid.
bit_in_memory() {
    disturbed "$2:$3" train '70|74|79' "$1" "${@:4}"
    grep -q '^asvr: ' err || said 'not a word'
    checkpoints_valid maybe
    goes_on "$1"
}
row_13() {
    row 13 'NaN, a spike, a bit of a weight, on one rank'
    rm -f "$work"/skips.*
    for p in forward backward; do for w in '1 0' '2 1' '4 3' '4 1'; do trial "nan in $p" skips nan.$p $w $p:nan; done; done
    for w in '1 0' '2 1' '4 2'; do trial 'spike' skips spike $w backward:spike --set train.spike=100; done
    trial 'too many' too_many
    for i in $(seq "$(times 1 5)"); do
        trial 'frozen weight' bit_in_memory 1 0 12:optim:flip:vision
        trial 'frozen weight' bit_in_memory 2 1 12:optim:flip:vision
        trial 'trained weight' bit_in_memory 2 1 12:optim:flip:decoder
        trial 'trained weight' bit_in_memory 4 2 12:optim:flip:projector
        trial 'as it is loaded' loaded_wrong 2 1 decoder
    done
    # What is read from the disk after it was hashed: weights, moments.
    for i in $(seq "$(times 3 40)"); do trial 'read wrong' read_wrong "$(draw 2)" $((1 + $(draw 60))); done
}
loaded_wrong() {
    stopped_run
    disturbed "$2:0:load:flip:$3" train 74 "$1"
    once
    goes_on "$1"
}
# RANK NTH: the n-th read of the checkpoint returns a turned bit
read_wrong() {
    stopped_run 2
    faulty="rank=$1,path=tensors.h5,call=pread,nth=$2,flip=$(draw 8000)" train '0|74' 2
    if [ $code = 0 ]; then like_whole; else once; goes_on 2; fi
}

# ---- rows 14 and 15 ----

# Ten lives, each on another number of replicas; then nobody can tell.
elastic() {
    local life saved n at
    for life in $(seq 10); do
        saved=$(newest) saved=${saved#step-}
        at=$((10#${saved:-0} + 1 + $(draw 6))) n=$(pick 1 2 4)
        [ $at -lt $steps ] || break
        if [ "$(draw 3)" = 0 ]; then
            ASVR_FAULT='*:1:forward:slow:0.01' begin "$n" "$@"
            at_step $at
            kill -USR1 $(ranks) 2>/dev/null || true
            ended '75|0|138'
        else
            disturbed "$(pick '*' "$(draw "$n")"):$at:$(pick "${points[@]}"):kill" train '137|0' "$n" "$@"
        fi
    done
    goes_on "$(pick 1 2 4)" "$@"
}
threads_free() { unset OMP_NUM_THREADS; elastic --set parallel.threads=0 "$@"; }
not_three() {
    stopped_run 2
    train 78 3
    once
    blames 'train.global_batch' '3 replicas'
    goes_on 2
}
row_14() {
    row 14 'resume on 1, 2, 4 replicas; on 3'
    for i in $(seq "$(times 1 10)"); do
        trial elastic elastic
        trial 'elastic, zero' elastic --set parallel.zero=1
        trial 'elastic, threads left to the program' threads_free
    done
    trial three not_three
}

# tp 1, 2, 4, then two replicas of two: 50 steps within 1e-5 of one rank's.
long=(--set train.steps=50)
of_other_shape() {
    local at=10 shape
    [ -e "$work/fifty" ] || { train 0 1 "${long[@]}"; column loss run >"$work/fifty"; rm -r run; }
    for shape in "$@"; do
        set -- ${shape//x/ }
        if [ $at -lt 50 ]; then disturbed "*:$((at + 2)):data:kill" train 137 $(($1 * $2)) "${long[@]}" --set ckpt.async=false --set parallel.tp="$2"
        else train 0 $(($1 * $2)) "${long[@]}" --set parallel.tp="$2"; fi
        [ $at = 10 ] || resumed_from $((at - 10))
        at=$((at + 10))
    done
    column loss run | paste -d' ' "$work/fifty" - | awk '{ d = ($2 - $4) / $2; if ($1 != $3 || d > 1e-5 || -d > 1e-5) { print; exit 1 } }' ||
        fail 'more than 1e-5 apart'
    checkpoints_valid
}
row_15() {
    row 15 'resume with tp 1, 2, 4; dp and tp swapped'
    rm -f "$work/fifty"
    trial 'tp 1, 2, 4' of_other_shape 1x1 1x2 1x4 2x1 1x2
    trial 'swapped' of_other_shape 2x1 1x2 2x2 4x1 1x4
    [ "$mode" = quick ] || program launch/reshard launch/tensor
}
