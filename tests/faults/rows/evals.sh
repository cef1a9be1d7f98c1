# evals.sh -- rows 29 to 31: evaluations while a run trains, asvr eval over tables, the files of report, init and serve

# Every third step; of the accuracies the one after step 9 is the best, that after step 3 the best until then.
evals=(--set eval.every=3 --set chat.max_new=4 --set ckpt.best=mean --set ckpt.keep=1)
evaluated=$work/evaluated
found() { sed 's/"time": [^,]*, "seconds": [^,]*, //' "$1/evals.jsonl"; }
without_a_fault() {
    train 0 1 "${evals[@]}"
    [ "$(readlink run/ckpt/best)" = "$(step_name 9)" ] && grep -q '"step": 3, .*"best": true' run/evals.jsonl || { found run; fail 'the best is another step'; }
    like_whole
    mv run "$evaluated"
}
# O3 for evaluations: each is there once and found the same, the best keeps its name and is the same, and nothing else is kept.
like_evaluated() {
    local best=run/ckpt/$(step_name 9)
    like_whole
    diff <(found "$evaluated") <(found run) || fail 'the evaluations differ'
    cmp "$evaluated/eval.json" run/eval.json || fail 'eval.json differs'
    [ "$(readlink run/ckpt/best)" = "$(step_name 9)" ] || fail "the best is $(readlink run/ckpt/best)"
    [ "$(fingerprint "$best")" = "$(fingerprint "$evaluated/ckpt/best")" ] || fail 'the best has other weights'
    [ "$(cd run/ckpt && echo step-*)" = "$(step_name 9) $(step_name $steps)" ] || fail "kept: $(ls run/ckpt)"
}
evals_go_on() { orderly=1 train 0 "$1" "${evals[@]}" "${@:2}"; like_evaluated; }
async() { echo "ckpt.async=$(pick true false)"; }

# WHO RANKS POINT: killed in or behind an evaluation, in a phase of the save that gets the name
killed_evaluating() {
    disturbed "$1:$(pick 3 9 9 $((3 * (1 + $(draw 10))))):$3:kill" train '137|0' "$2" "${evals[@]}" --set "$(async)"
    checkpoints_valid maybe
    evals_go_on "$(pick 1 2)"
}
# CALL PATH MOST: rank 0 is killed in place of one of its first calls, what it does of a run undisturbed
killed_writing() {
    faulty="rank=0,path=$2,call=$1,nth=$((1 + $(draw "$3"))),kill=1" train 137 "$(pick 1 2)" "${evals[@]}" --set "$(async)"
    checkpoints_valid maybe
    evals_go_on "$(pick 1 2)"
}
# In the middle of a line.
line_torn() {
    faulty="rank=0,path=/run/evals.jsonl,kill_after=$(draw 2500)" train '137|0' "$(pick 1 2)" "${evals[@]}"
    evals_go_on "$(pick 1 2)"
}
# Asked to stop in an evaluation, the next start is killed when it makes it up: its checkpoint is there already, its line too, or not.
owed_and_killed() {
    ASVR_FAULT='*:9:eval:slow:2' begin 2 "${evals[@]}"
    at_step 9
    kill -USR1 $(ranks)
    ended 75
    case $1 in
    sync) faulty="path=/run/evals.jsonl,call=fsync,kill=1" train 137 1 "${evals[@]}" ;;
    *) disturbed "*:0+:$1:kill" train 137 1 "${evals[@]}" ;;
    esac
    evals_go_on "$(pick 1 2)"
}
# CALL PATH ERRNO TIMES: training goes on, says so, and is the same; the lines are there in the end, but for those that never could be written
evals_full() {
    faulty="rank=0,path=$2,call=$1,nth=$((1 + $(draw 4))),times=$4,errno=$3" train 0 2 "${evals[@]}"
    grep -q '^asvr: warning: .*eval' err || said 'not a word of it'
    like_whole
    [ "$4" = 0 ] || diff <(found "$evaluated") <(found run) || fail 'the evaluations differ'
    says 0 0 verify run/ckpt/best
    [ "$4" = 0 ] || evals_go_on 1
}
# The link cannot be made: the older best keeps the name until there is a better one.
link_fails() {
    faulty="rank=0,path=ckpt/best,call=rename,nth=$1,errno=$2" train 0 2 "${evals[@]}"
    grep -q 'warning: .*`best`' err || said 'not a word of it'
    like_whole
    says 0 0 verify run/ckpt/best
}
# A start that cannot read or renew the lines is refused, and loses none.
start_without_lines() {
    disturbed '*:11:data:kill' train 137 1 "${evals[@]}" --set ckpt.async=false
    cp run/evals.jsonl was
    faulty="path=evals.jsonl,call=$1,errno=$2" train 74 2 "${evals[@]}"
    once
    blames evals.jsonl
    cmp was run/evals.jsonl
    evals_go_on 1
}
damaged_evals() {
    disturbed '*:17:data:kill' train 137 2 "${evals[@]}" --set ckpt.async=false
    case $1 in
    byte) sed -i '2s/"step"/"st\x01p"/' run/evals.jsonl ;;
    zero) sed -i '2s/"loss"/"l\x00ss"/' run/evals.jsonl ;;
    gone) rm run/evals.jsonl ;;
    checkpoint) "$tools/corrupt" "run/ckpt/$(step_name 9)/tensors.h5" "$RANDOM" flip ;;
    link) rm run/ckpt/best ;;
    esac
    train 0 1 "${evals[@]}"
    like_whole_but_best "$1"
}
# What was lost is lost, and said; the run is the same.
like_whole_but_best() {
    diff <(column loss_hex "$base/whole") <(column loss_hex run) || fail 'the losses differ'
    like_weights
    [ -z "$(find run -name '.tmp-*')" ] || fail "left behind: $(find run -name '.tmp-*')"
    case $1 in
    byte | zero) grep -q 'warning: evals.jsonl' err || said 'not a word of it' ;;
    link) says 0 0 verify run/ckpt/best ;;
    esac
}
row_29() {
    row 29 'evaluation while a run trains; the best one'
    [ -e "$evaluated" ] || trial 'without a fault' without_a_fault
    [ -e "$evaluated" ] || return
    for p in eval save manifest rename latest best; do
        for i in $(seq "$(times 1 10)"); do trial "in $p" killed_evaluating "$(pick 0 '*')" "$(pick 1 2)" $p; done
    done
    for i in $(seq "$(times 1 10)"); do trial 'one of two' killed_evaluating "$(draw 2)" 2 eval; done
    for i in $(seq "$(times 1 10)"); do
        trial 'before its line' killed_writing write /run/evals.jsonl 10
        trial 'behind its line' killed_writing fsync /run/evals.jsonl 10
        trial 'eval.json' killed_writing "$(pick create write fsync rename)" eval.json 10
        trial 'best renamed' killed_writing rename ckpt/best 2
        trial 'a torn line' line_torn
    done
    for p in sync rename latest best; do for i in $(seq "$(times 1 3)"); do trial "owed, $p" owed_and_killed $p; done; done
    for e in ENOSPC EDQUOT EIO; do trial "a line, $e" evals_full write /run/evals.jsonl $e $((1 + $(draw 4))); done
    trial 'never a line' evals_full write /run/evals.jsonl ENOSPC 0
    trial 'eval.json full' evals_full "$(pick create write rename)" eval.json ENOSPC 1
    for n in 1 2; do trial 'the link fails' link_fails $n "$(pick ENOSPC EIO)"; done
    for w in 'pread EIO' 'open EIO' 'create ENOSPC' 'rename EIO'; do trial "start: $w" start_without_lines $w; done
    for w in byte zero gone checkpoint link; do trial "damaged: $w" damaged_evals $w; done
}

# ---- row 30 ----

asked=$work/asked questions=120
ask() { says "$1" "$2" eval "$config" "${small[@]}" --set run.dir=run --set eval.from=whole --set eval.tsv=POPE.tsv --set chat.max_new=6 --set eval.batch=4 "${@:3}"; }
a_table() {
    local i
    printf 'index\timage\tquestion\tanswer\n'
    for i in 1 2 3 4 5; do printf '%d\t%s\tIs it %d?\tYes\n' "$i" "$({ printf 'P6 8 8 255\n'; head -c 192 /dev/zero | tr '\0' "$i"; } | base64 -w0)" "$i"; done
    for i in $(seq 6 $questions); do printf '%d\t%d\tIs it %d?\tNo\n' "$i" $((i % 5 + 1)) "$i"; done
}
asked_whole() {
    a_table >POPE.tsv
    ask 0 1
    grep -q "^$questions answers in " out || said 'not as many answers as questions'
    mkdir "$asked" && mv POPE.tsv run "$asked/"
}
# Nobody can tell what happened: every question is answered once, and all files are the same.
like_asked() {
    local f
    for f in prediction.tsv scores.json answers.jsonl from_log/pope.json; do cmp "$asked/run/eval/POPE/$f" "run/eval/POPE/$f" || fail "$f is another one"; done
    cmp "$asked/run/eval.json" run/eval.json || fail 'eval.json is another one'
    diff <(cd "$asked/run" && find . | sort) <(cd run && find . | sort) || fail 'something was left over'
    diff <(sed -n 's/^{"row":\([0-9]*\),.*/\1/p' run/eval/POPE/answers.jsonl) <(seq 0 $((questions - 1))) || fail 'not every question is answered once'
}
# It asks what was not answered, and no more.
asks_on() {
    local had made
    orderly=1 ask 0 "$1"
    had=$(sed -n 's/^POPE: pope, .*, \([0-9]*\) answered already.*/\1/p' out) made=$(sed -n 's/^\([0-9]*\) answers in .*/\1/p' out)
    [ $((${had:-0} + ${made:-0})) = $questions ] || said "$had were answered, $made are now"
    like_asked
}
# CODES RULE...: disturbed by preload.c's rules on two ranks, or on one; then again
asking() {
    ln -s "$asked/POPE.tsv" .
    faulty="$2" ask "$1" "${3:-2}"
    [ "$code" != 74 ] || { once; [ -z "$(find run -name '.tmp-*')" ] || fail "left behind: $(find run -name '.tmp-*')"; }
    [ "$code" != 0 ] || like_asked
    asks_on "$(pick 1 2)"
}
# Twice killed while it answers, on two ranks and on one.
asking_twice() {
    ln -s "$asked/POPE.tsv" .
    faulty="rank=$(draw 2),path=answers-,call=write,nth=$((2 + $(draw 20))),kill=1" ask 137 2
    faulty="rank=0,path=answers-,kill_after=$((40 + $(draw 1000)))" ask '137|0' 1
    asks_on "$(pick 1 2)"
}
# What a kill of the machine may leave of the files: a torn line, half a file, another's, nothing but zeros; each as if it had not been answered.
torn_answers() {
    local f
    ln -s "$asked/POPE.tsv" .
    faulty="rank=0,path=answers-,call=write,nth=$((10 + $(draw 20))),kill=1" ask 137 2
    f=run/eval/POPE/answers-$(draw 2).jsonl
    case $1 in
    cut) truncate -s -$((1 + $(draw 20))) "$f" ;;
    half) truncate -s $(($(stat -c %s "$f") / 2)) "$f" ;;
    empty) : >"$f" ;;
    head) sed -i '1s/"of"/"off"/' "$f" ;;
    line) sed -i '3s/"row"/"r\x01w"/' "$f" ;;
    zeros) head -c 300 /dev/zero >>"$f" ;;
    twice) cp run/eval/POPE/answers-0.jsonl run/eval/POPE/answers-7.jsonl ;;
    beyond) printf '{"row":%d,"prediction":"x"}\n{"row":-1,"prediction":"x"}\n' $questions >>"$f" ;;
    esac
    asks_on "$(pick 1 2)"
}
# Predictions that were cut: refused, or, where only the end of the last answer is missing, said.
cut_predictions() {
    local all=$(stat -c %s "$asked/run/eval/POPE/prediction.tsv")
    ln -s "$asked/POPE.tsv" .
    head -c $((all - $1)) "$asked/run/eval/POPE/prediction.tsv" >cut.tsv
    says '0|65' 1 eval "$config" "${small[@]}" --set run.dir=run --set eval.tsv=POPE.tsv --set eval.predictions=cut.tsv
    if [ $code = 65 ]; then once; blames cut.tsv
    else grep -q 'warning: .*cut.tsv' err || said 'scored a file that was cut, and not a word of it'; fi
}
# A question's table likewise; where it ends between two rows nobody can know, but for the number of questions that is printed.
cut_table() {
    head -c $(($(stat -c %s "$asked/POPE.tsv") - $1)) "$asked/POPE.tsv" >POPE.tsv
    ask '0|65' 1
    if [ $code = 65 ]; then once; blames POPE.tsv
    elif [ -z "$(tail -c 1 POPE.tsv)" ]; then grep -q "^POPE: pope, $(grep -c 'Is it' POPE.tsv) questions" out || said 'how many questions?'
    else grep -q 'warning: .*POPE.tsv' err || said 'asked of a table that was cut, and not a word of it'; fi
}
# Two at once over the same folder: each ends right or says that it cannot, and what is there then is taken up.
two_ask() {
    ln -s "$asked/POPE.tsv" .
    command_of 1 eval "$config" "${small[@]}" --set run.dir=run --set eval.from=whole --set eval.tsv=POPE.tsv --set chat.max_new=6 --set eval.batch=4
    "${cmd[@]}" >out.1 2>err.1 </dev/null &
    sleep "0.$(draw 10)"
    ask '0|74' 2
    wait $! || code=$?
    case $code in 0 | 74) ;; *) cat out.1 err.1; fail "exit $code" ;; esac
    asks_on 1
}
row_30() {
    local f c
    row 30 'asvr eval over tables, resumed'
    [ -e "$asked" ] || trial 'without a fault' asked_whole
    [ -e "$asked" ] || return
    for i in $(seq "$(times 2 20)"); do
        r=$(draw 2)
        trial 'one of two' asking 137 "rank=$r,path=answers-,call=write,nth=$((1 + $(draw 50))),kill=1"
        trial 'a torn line' asking '137|0' "rank=$r,path=answers-,kill_after=$(draw 2400)"
        trial 'both' asking 137 "path=answers-,call=write,nth=$((2 + $(draw 50))),kill=1"
    done
    for i in $(seq "$(times 1 10)"); do trial 'twice' asking_twice; done
    for f in answers.jsonl prediction.tsv pope.json scores.json eval.json; do
        for c in create write fsync rename; do
            [ "$mode" = full ] || [ "$(draw 2)" = 0 ] || continue
            trial "kill: $c $f" asking 137 "rank=0,path=$f,call=$c,nth=$([ $f = answers.jsonl ] && pick 1 2 || echo 1),kill=1"
            trial "full: $c $f" asking 74 "rank=0,path=$f,call=$c,errno=$(pick ENOSPC EDQUOT EIO)"
        done
    done
    for n in 1 2; do trial 'parts removed' asking 137 "path=answers-,call=unlink,nth=$n,kill=1"; done
    for k in 1 7; do trial 'full for a while' asking 0 "rank=$(draw 2),path=answers-,call=write,nth=$((1 + $(draw 40))),times=$k,errno=ENOSPC"; done
    trial 'full for ever' asking '0|74' "rank=$(draw 2),path=answers-,call=write,nth=$((1 + $(draw 40))),times=0,errno=ENOSPC"
    trial 'short writes' asking 0 "path=/run/eval,call=write,times=0,short=7"
    trial 'EINTR' asking 0 "path=/run/eval,call=$(pick write fsync open),times=3,errno=EINTR"
    trial 'the table unreadable' asking 74 "rank=$(draw 2),path=POPE.tsv,call=pread,nth=$((2 + $(draw 20))),errno=EIO"
    for w in cut half empty head line zeros twice beyond; do trial "answers: $w" torn_answers $w; done
    for n in 1 2 3 9 $((20 + $(draw 2000))); do trial "predictions cut" cut_predictions $n; trial 'table cut' cut_table $n; done
    for i in $(seq "$(times 1 5)"); do trial 'two at once' two_ask; done
}

# ---- row 31 ----

# CALL ERRNO: the page is the older one whole, or the new one; no half of either
report_fails() {
    cp -r whole/ run
    says 0 0 report run
    cp run/report.html was
    sed -i 20d run/run.jsonl                                # another page
    faulty="path=report.html,call=$1,$2" says '74|137|0' 0 report run
    case $code in
    74) once; blames report.html; [ -z "$(find run -name '.tmp-*')" ] || fail "left behind: $(find run -name '.tmp-*')" ;;
    esac
    [ "$code" = 0 ] || cmp was run/report.html
    says 0 0 report run
    ! cmp -s was run/report.html || fail 'the page is the older one'
    tail -c 20 run/report.html | grep -q '</html>' || fail 'half a page'
}
# What a kill, or a disk, leaves of a run's files: the page and the status say what is left, or which file is damaged.
report_of_damage() {
    cp -r "$evaluated" run
    case $1 in
    torn) for f in run.jsonl evals.jsonl lives.jsonl; do truncate -s -$((1 + $(draw 60))) run/$f; done ;;
    bits) for f in run.jsonl evals.jsonl lives.jsonl eval.json; do "$tools/corrupt" run/$f "$RANDOM" "$(pick flip zero fill)" || true; done ;;
    empty) for f in run.jsonl evals.jsonl lives.jsonl eval.json; do : >run/$f; done ;;
    esac
    says '0|65' 0 report run
    [ $code = 65 ] || tail -c 20 run/report.html | grep -q '</html>' || fail 'half a page'
    says '0|65' 0 status run --json
}
offered() {
    local i
    mkdir pictures
    for i in 1 2 3 4; do { printf 'P6 8 8 255\n'; head -c 192 /dev/zero | tr '\0' $i; } >pictures/$i.ppm; echo "Number $i." >pictures/$i.txt; done
    command_of 0 init pictures --run=mine
    code=0
    case $1 in
    full) "${cmd[@]}" >/dev/full 2>err </dev/null || code=$? ;;
    closed) "${cmd[@]}" >&- 2>err </dev/null || code=$? ;;
    esac
    [ $code = 74 ] || { cat err; fail "exit $code, expected 74"; }
    grep -q '^asvr: error: cannot write' err || { cat err; fail 'not a word'; }
    [ ! -e mine ] || fail 'it made a folder'
}
# A server writes no file; killed, it leaves its port, and the next one answers from there.
served() {
    local port
    command_of 0 serve "$config" "${small[@]}" --set run.dir=whole --set serve.port=0
    : >out
    "${cmd[@]}" >out 2>err </dev/null & job=$!
    for i in $(seq 200); do port=$(sed -n 's/^serving .*:\([0-9]*\)$/\1/p' out); [ -z "$port" ] || break; sleep 0.05; done
    [ -n "$port" ] || said 'it never served'
    exec 7<>"/dev/tcp/127.0.0.1/$port"                      # a client in the middle of its request
    printf 'POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 400\r\n\r\n{"mess' >&7
    kill -9 "$(launcher)"
    ended 137
    exec 7>&-
    command_of 0 serve "$config" "${small[@]}" --set run.dir=whole --set serve.port="$port"
    : >out
    "${cmd[@]}" >out 2>err </dev/null & job=$!
    for i in $(seq 200); do ! grep -q '^serving' out || break; sleep 0.05; done
    grep -q '^serving' out || said 'the port is not to be had again'
    kill "$(launcher)"
    ended 0
}
row_31() {
    row 31 'the files of report and init; a server killed'
    for c in create write fsync rename; do
        trial "report, $c" report_fails $c "errno=$(pick ENOSPC EDQUOT EIO)"
        trial "report killed, $c" report_fails $c kill=1
    done
    trial 'report, short' report_fails write times=0,short=100
    [ -e "$evaluated" ] || trial 'without a fault' without_a_fault
    for w in torn bits empty; do for i in $(seq "$(times 1 10)"); do trial "report of $w" report_of_damage $w; done; done
    for w in full closed; do trial "init, $w" offered $w; done
    trial 'serve' served
}
