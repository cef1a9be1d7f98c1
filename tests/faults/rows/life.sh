# life.sh -- rows 18, 19 and 26 to 28: left-overs, two jobs, clocks, a full stdout, MPI-IO, a soak

leftovers() {
    stopped_run 2
    mkdir -p "run/ckpt/.tmp-$(step_name 20)" "run/ckpt/.tmp-gone-$(step_name 5)" && echo torn >"run/ckpt/.tmp-$(step_name 20)/tensors.h5"
    echo '{"step": 18, "ti' >>run/run.jsonl
    echo half >run/.tmp-run.jsonl
    echo half >run/.tmp-config.cfg
    echo half >run/ckpt/.tmp-latest
    echo 'step-00000099' >run/ckpt/latest
    goes_on "$1"
}
# A second job: refused within 5 s, the first one does not notice.
second_job() {
    local t
    ASVR_FAULT='*:1:forward:slow:0.1' begin "$1"
    at_step 3
    cp out out.1; cp err err.1
    t=${EPOCHREALTIME/[.,]/}
    command_of "$2" train "$config" "${small[@]}" --set run.dir=run
    code=0
    "${cmd[@]}" >out2 2>err2 </dev/null || code=$?
    t=$(((${EPOCHREALTIME/[.,]/} - t) / 1000))
    cat err2
    [ $code = 76 ] || fail "the second job: exit $code, expected 76"
    [ $t -lt 8000 ] || fail "refused after $t ms"           # 5 s, and the start of a launcher
    grep -q 'in use' err2 && grep -q "$(hostname)" err2 || fail 'by whom?'
    ended 0
    like_whole
}
# A later life of the same Slurm job takes over; the older one wakes up and may not harm it.
fenced() {
    local old
    setting=(SLURM_JOB_ID=77 SLURM_RESTART_COUNT=0)
    ASVR_FAULT='*:12:data:stop' begin 0
    old=$job
    for _ in $(seq 200); do [ "$(lines)" -ge 11 ] && grep -q ') T ' "/proc/$(launcher)/stat" 2>/dev/null && break; sleep 0.05; done
    local asleep=$(launcher)
    setting=(SLURM_JOB_ID=77 SLURM_RESTART_COUNT=1)
    train 0 0
    like_whole
    kill -CONT "$asleep"
    job=$old ended '70|74|75|76|78'
    like_whole
}
# Another Slurm job is a stranger, whatever its number.
stranger() {
    setting=(SLURM_JOB_ID=77 SLURM_RESTART_COUNT=0)
    ASVR_FAULT='*:1:forward:slow:0.2' begin 0
    at_step 3
    cp err err.1
    setting=(SLURM_JOB_ID=78 SLURM_RESTART_COUNT=1)
    command_of 0 train "$config" "${small[@]}" --set run.dir=run
    code=0; "${cmd[@]}" >out2 2>err2 </dev/null || code=$?
    [ $code = 76 ] || { cat err2; fail "a stranger: exit $code, expected 76"; }
    setting=()
    ended 0
    like_whole
}
# A file system without flock.
no_flock() {
    faulty='call=flock,times=0,errno=ENOLCK' train 0 "$1"
    like_whole
}
deleted_meanwhile() {
    ASVR_FAULT='*:1:forward:slow:0.05' begin 2
    at_step 7
    rm -rf run
    ended '74|70'
    grep -q '^asvr: error' err || said 'not a word'
}
row_18() {
    row 18 'left-overs; two jobs on one run directory'
    for n in 1 2; do trial 'left-overs' leftovers $n; done
    for i in $(seq "$(times 1 5)"); do trial 'two jobs' second_job 2 "$(pick 0 2)"; done
    for i in $(seq "$(times 1 3)"); do trial 'fenced' fenced; done
    trial 'a stranger' stranger
    for n in 1 2; do trial 'no flock' no_flock $n; done
    trial 'run.dir deleted' deleted_meanwhile
    [ "$mode" = quick ] || program launch/lease
}

clock_moves() {
    faulty="clock=$1,nth=$((3 + $(draw 20)))" train 0 2 --set ckpt.minutes=30 --set stop.deadline=$(($(date +%s) + 7200))
    like_whole
}
# Between two lives.
clock_moved() {
    faulty="clock=$1" stopped_run 2
    goes_on 2
}
row_19() {
    row 19 'clock moved by a day'
    for s in 86400 -86400; do trial 'while it runs' clock_moves $s; trial 'between two lives' clock_moved $s; done
}

# RANKS WHERE: stdout, or stderr too, full or closed
deaf() {
    command_of "$1" train "$config" "${small[@]}" --set run.dir=run
    code=0
    case $2 in
    full) "${cmd[@]}" >/dev/full 2>err </dev/null || code=$? ;;
    closed) "${cmd[@]}" >&- 2>err </dev/null || code=$? ;;
    both) "${cmd[@]}" >/dev/full 2>/dev/full </dev/null || code=$? ;;
    pipe) { "${cmd[@]}" 2>err </dev/null; echo $? >code; } | true; code=$(cat code) ;;
    esac
    [ $code = 0 ] || fail "exit $code"
    like_whole
}
log_full() {
    faulty="path=run.jsonl,call=write,nth=$((1 + $(draw 20))),times=$1,errno=ENOSPC" train 0 2
    blames run.jsonl
    if [ "$1" = 0 ]; then like_weights; else like_whole; fi
}
# A line that was damaged, or is lost, is noticed by the next start.
log_damaged() {
    stopped_run
    case $1 in
    byte) sed -i '7s/"loss"/"l\x01ss"/' run/run.jsonl ;;
    line) sed -i 7d run/run.jsonl ;;
    esac
    train 0 1
    grep 'asvr: warning' err | grep -q 'run.jsonl' || said 'not a word of it'
    like_weights
}
row_26() {
    row 26 'full or closed stdout, full or damaged log'
    for w in full closed both pipe; do trial "$w" deaf 0 $w; done
    for w in full both; do trial "$w, two ranks" deaf 2 $w; done
    for k in 1 3 0; do trial 'run.jsonl full' log_full $k; done
    trial 'a damaged byte' log_damaged byte
    trial 'a lost line' log_damaged line
}

# RANKS RANK NTH PATH WHAT: bytes that MPI-IO writes other than it was given, or not, on one rank: refused at start, or found before the shard
# has a name.  HDF5 whose metadata are wrong, or that fails on one rank alone, may hang: 80, and the next start goes on.
wrong_bytes() {
    faulty="rank=$2,path=$4,call=write|pwrite,nth=$3,$5" says '0|65|74|80' "$1" pack "$config" "${small[@]}" --set data.set=mine/index.set --set watch.timeout=0.5
    if [ $code != 0 ]; then
        once
        [ ! -e mine/index.set ] || fail 'there is an index'
        says 0 "$1" pack "$config" "${small[@]}" --set data.set=mine/index.set
    fi
    says 0 0 verify mine/index.set
    # A bit that no reader looks at makes it another file with the same samples.
    train 0 1 --set data.set=mine/index.set
    like_whole
}
wrong_always() {
    faulty="path=selftest,call=write|pwrite,times=0,flip=$2" says 74 "$1" pack "$config" "${small[@]}" --set data.set=mine/index.set
    once
    blames MPI
}
row_27() {
    row 27 'MPI-IO that corrupts'
    cases io/h5/test_h5
    for n in 1 2; do for b in 5 90000; do trial 'a self-test' wrong_always $n $b; done; done
    for i in $(seq "$(times 2 20)"); do n=$(pick 1 2 3); trial 'a byte at all' wrong_bytes "$n" "$(draw "$n")" $((1 + $(draw 40))) mine/ flip=$(draw 30000); done
    for i in $(seq "$(times 4 40)"); do n=$(pick 1 2 3); trial 'a byte of a shard' wrong_bytes "$n" "$(draw "$n")" $((1 + $(draw 30))) train- flip=$(draw 30000); done
    for i in $(seq "$(times 3 40)"); do n=$(pick 1 2 3); trial 'a write that fails' wrong_bytes "$n" "$(draw "$n")" $((1 + $(draw 10))) train- errno=$(pick EIO ENOSPC); done
}

# A random mix for so many seconds: lives of random faults until the run is done, then the next run.
soak() {
    local until=$((SECONDS + $1)) lives=0 runs=0 n at saved
    : >"$work/effective"
    while [ $SECONDS -lt $until ]; do
        rm -rf run
        local start=$EPOCHREALTIME
        while :; do
            saved=$(newest) saved=${saved#step-} n=$(pick 1 2 4) lives=$((lives + 1))
            at=$((10#${saved:-0} + 1 + $(draw 12)))
            case $(draw 9) in
            0) disturbed "$(draw "$n"):$at:$(pick "${points[@]}"):kill" train '137|0' "$n" ;;
            1) disturbed "*:$(((at + 4) / 5 * 5)):$(pick "${phases[@]}"):kill" train '137|0' "$n" ;;
            2) faulty="rank=$(draw "$n"),path=/run/ckpt,kill_after=$(draw 8000000)" train '137|0' "$n" ;;
            3) begin "$n"; at_step $((at < steps ? at : steps)); kill -USR1 $(ranks) 2>/dev/null || true; ended '75|0|138' ;;
            4) begin "$n"; sleep 0.$((3 + $(draw 6))); kill -9 $(ranks) 2>/dev/null || true; ended '137|0' ;;
            5) faulty="path=/run/ckpt,call=pwrite,nth=$((1 + $(draw 900))),errno=$(pick EIO EINTR)" train '0|74' "$n" ;;
            6) faulty="path=/run/ckpt,call=fsync,nth=$((1 + $(draw 20))),errno=EIO" train '0|74' "$n" ;;
            7) [ -z "$saved" ] || [ "$(ls -d run/ckpt/step-* | wc -l)" -lt 2 ] ||
                   "$tools/corrupt" "run/ckpt/step-$saved/$(pick tensors.h5 manifest.json)" "$RANDOM" "$(pick flip zero cut)" || true
               train 0 "$n" ;;
            8) train 0 "$n" ;;
            esac
            [ "$(lines)" -lt $steps ] || [ "${code:-1}" != 0 ] || break
        done
        goes_on 1
        runs=$((runs + 1))
        # Effective: the time of the steps that are in the log for good, of all that passed.
        column t_step run | awk -v wall="$(awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { print b - a }')" '{ t += $2 } END { print t, wall }' >>"$work/effective"
    done
    echo "$runs runs, $lives lives" >"$work/soaked"
}
row_28() {
    row 28 'a soak with a random mix'
    trial soak soak "$(times 40 3600)"
    [ ! -s "$work/soaked" ] || remark "$(cat "$work/soaked"); effective $(awk '{ t += $1; w += $2 } END { printf "%.0f %% of %.0f s", 100 * t / w, w }' "$work/effective")"
}
