# kills.sh -- rows 1 to 5: processes and machines that die, signals

points=(data forward backward reduce optim log)

# RANKS WHO: one rank (or * all) at a random step and place
killed_inside() {
    local at=$((1 + $(draw $steps)))
    disturbed "$2:$at:$(pick "${points[@]}"):kill" train 137 "$1"
    checkpoints_valid maybe
    goes_on "$(pick 1 2 4)"
}
# WHAT: a random rank, all of them, or the launcher, by kill -9 at a random moment
killed_outside() {
    local n=$(pick 2 4) p
    ASVR_FAULT='*:1:forward:slow:0.005' begin "$n"
    at_step "$(draw $steps)"
    sleep "0.0$(draw 10)"
    set -- "$1" $(ranks)
    case $1 in
    one) kill -9 "${@:2 + $(draw "$n"):1}" ;;
    all) kill -9 "${@:2}" ;;
    launcher) kill -9 "$(launcher)" ;;
    esac 2>/dev/null || true
    ended '137|143|0'                                       # 0: it was done
    for p in $(seq 50); do [ -n "$(mine "$ASVR_TRIAL")" ] || break; sleep 0.2; done
    [ -z "$(mine "$ASVR_TRIAL")" ] || { ps -o pid,ppid,stat,args -p "$(mine "$ASVR_TRIAL" | paste -sd,)"; fail "ranks outlive their launcher by 10 s"; }
    clean_segments                                          # what Open MPI leaves behind a killed launcher
    checkpoints_valid maybe
    goes_on "$(pick 1 2 4)"
}
row_1() {
    row 1 'kill -9 of one rank, of all, of the launcher'
    for i in $(seq "$(times 4 60)"); do n=$(pick 2 4); trial 'one rank' killed_inside "$n" "$(draw "$n")"; done
    for i in $(seq "$(times 2 15)"); do trial 'all ranks' killed_inside "$(pick 1 2 4)" '*'; done
    for i in $(seq "$(times 2 15)"); do trial 'one, from outside' killed_outside one; done
    for i in $(seq "$(times 1 5)"); do trial 'all, from outside' killed_outside all; done
    for i in $(seq "$(times 1 5)"); do trial 'the launcher' killed_outside launcher; done
}

# RANKS SIGNAL: to one rank, in a step; all save the step after that at the latest
asked() {
    local before last
    ASVR_FAULT='*:1:forward:slow:0.03' begin "$1"
    at_step "$((1 + $(draw 20)))"
    set -- "$1" "$2" $(ranks)
    kill -"$2" "${@:3 + $(draw "$1"):1}"
    before=$(lines)
    ended 75
    last=$(lines)
    [ "$last" -le $((before + 2)) ] || fail "asked in step $((before + 1)), it stopped after $last"
    [ "$(newest)" = "$(step_name "$last")" ] || fail "step $last was logged last, saved is $(newest)"
    ! grep -q 'asvr: error' err || said 'a stop is not an error'
    goes_on "$(pick 1 2 4)"
}
row_2() {
    row 2 'TERM, USR1, USR2, INT, XCPU to one rank'
    for s in TERM USR1 USR2 INT XCPU; do for i in $(seq "$(times 1 6)"); do trial "$s" asked "$(pick 2 4)" $s; done; done
}

# HUNDREDTHS ASYNC: TERM to the ranks, KILL after so long; at most one interval is lost, and, where saves run beside the steps, what
# was done while the newest was under way
term_and_kill() {
    local logged saved due
    ASVR_FAULT='*:1:forward:slow:0.01' begin 2 --set ckpt.async="$2"
    at_step "$((1 + $(draw 25)))"
    set -- "$1" "$2" $(ranks)
    kill -TERM "${@:3}" 2>/dev/null || true
    sleep "0.$1"
    kill -9 "${@:3}" 2>/dev/null || true
    ended '75|76|137|143|0'
    logged=$(lines) saved=$(newest)
    saved=${saved#step-} due=$(((logged - 1) / every * every))
    [ "$2" = false ] || [ -z "$(ls -d "run/ckpt/.tmp-$(step_name $due)"* 2>/dev/null)" ] || due=$((due - every))
    [ $((10#${saved:-0})) -ge $due ] || fail "step $logged was logged, only $saved is saved"
    checkpoints_valid maybe
    goes_on "$(pick 1 2)"
}
# at any moment of the start: handlers stand before MPI; before them (143) nothing was said or made
term_early() {
    begin 2
    sleep "0.$(draw 4)$(draw 10)"
    kill -TERM $(ranks) 2>/dev/null || true
    ended '75|76|0|143'
    [ "$got" != 143 ] || [ ! -s out -a ! -e run ] || said 'TERM ended what had begun'
    goes_on 2
}
two_within_a_moment() {
    ASVR_FAULT='*:1:forward:slow:0.02' begin 2
    at_step "$((1 + $(draw 15)))"
    set -- $(ranks)
    kill -TERM "$@"; kill -TERM "$@"
    ended 75
    goes_on 2
}
# The second comes stop.grace later, while the step still runs: nothing is saved, and said.
second_after_grace() {
    ASVR_FAULT='*:13:forward:slow:4' begin 2 --set stop.grace=1     # by now the checkpoint of step 5 is there
    at_step 12
    set -- $(ranks)
    kill -TERM "$@"; sleep 2; kill -TERM "$@"
    ended 76
    checkpoints_valid
    goes_on 2
}
row_3() {
    row 3 'TERM, then KILL or a second TERM'
    for i in $(seq "$(times 2 15)"); do trial 'TERM, KILL' term_and_kill "$(draw 10)$(draw 10)" "$([ $((i % 2)) = 0 ] && echo true || echo false)"; done
    for i in $(seq "$(times 2 15)"); do trial 'TERM at start' term_early; done
    for i in $(seq "$(times 1 8)"); do trial 'two within a moment' two_within_a_moment; done
    for i in $(seq "$(times 1 3)"); do trial 'second after stop.grace' second_after_grace; done
}

phases=(mkdir layout tensors hash manifest rename latest prune)
# PHASE WHO RANKS: in that phase of a random save but the first, which runs beside the steps that follow (+)
killed_in_phase() {
    local at=$((every * (2 + $(draw 4)))) who=$2
    case $1 in mkdir | manifest | rename | latest) [ "$who" != 1 ] || who=0 ;; esac         # what rank 0 does alone
    disturbed "$who:$at+:$1:kill" train 137 "$3"
    checkpoints_valid
    goes_on "$(pick 1 2 4)"
}
# Kill as soon as a rank has written so many bytes of checkpoints, the last call torn.  SCALE: bytes it writes undisturbed.
killed_at_byte() {
    local rank=$1 n=$2
    faulty="rank=$rank,path=/run/ckpt,kill_after=$(draw "$3")" train '137|0' "$n"
    checkpoints_valid maybe
    goes_on "$(pick 1 2)"
}
counted() { faulty="path=/run/,count=$PWD/count" train 0 "$1"; cp count.* "$work/"; }
row_4() {
    row 4 'kill at a random byte of a save, in each phase'
    for p in "${phases[@]}"; do
        for i in $(seq "$(times 1 6)"); do trial "in $p" killed_in_phase "$p" "$(pick 0 1 '*')" 2; done
    done
    trial 'counting' counted 2
    for i in $(seq "$(times 8 500)"); do
        r=$(pick 0 0 0 1)
        b=$(sed -n 's/^bytes //p' "$work/count.$r" 2>/dev/null | tail -n 1)
        trial 'a random byte' killed_at_byte "$r" 2 "$((${b:-0} > 0 ? b : 1))"
    done
}

# The log of a run's saves, from an empty folder (first), and over a checkpoint of the same step that was damaged (again).
log_of_saves() {
    faulty="path=/run,log=$work/first" disturbed '*:17:data:kill' train 137 2
    "$tools/corrupt" "run/ckpt/$(step_name 15)/tensors.h5" "$seed" flip
    cp -r run "$work/before"
    faulty="path=/run,log=$work/again" disturbed '*:21:data:kill' train 137 2
}
# WHICH HOW: a state that a loss of power leaves; no checkpoint that was promised is lost, none that is bad is believed
power_lost() {
    local promised before=- from
    [ "$1" = first ] || before=$work/before
    "$tools/replay" "$PWD/run" $before run "$2" "$RANDOM$RANDOM" "$work/$1".* >state || fail "$(cat state)"
    cat state
    promised=$(sed -n 's/^promised step-0*\([0-9]*\);.*/\1/p' state)
    orderly=1 train 0 "$(pick 1 2)"
    from=$(sed -n 's|^resumes from run/ckpt/step-0*\([0-9]*\).*|\1|p' out)
    [ "${from:-0}" -ge "${promised:-0}" ] || said "step $promised was promised, it goes on from ${from:-the start}"
    like_whole
}
row_5() {
    row 5 'what was not synced is lost (replayed logs)'
    rm -rf "$work/before" "$work"/first.* "$work"/again.*
    trial 'logging' log_of_saves
    for how in lost random torn kept; do
        for i in $(seq "$(times 4 90)"); do trial "$how" power_lost first $how; done
        for i in $(seq "$(times 2 40)"); do trial "$how, over an older one" power_lost again $how; done
    done
}
