# A rank that stands still is named and all end with 80; a slow one is named and the run goes on; a job stopped whole has not hung.
. "$(dirname "$0")/tools.inc"

small+=(--set train.steps=1000000 --set train.global_batch=16 --set watch.timeout=4)
says 0 1 pack "$config" "${small[@]}"
host=$(hostname)

rank() {                                        # N: the process of that rank
    local p
    for p in $(ranks); do
        ! tr '\0' '\n' <"/proc/$p/environ" | grep -qx "OMPI_COMM_WORLD_RANK=$1" || echo "$p"
    done
}
bounded() {                                     # SECONDS: until the job has ended; generous, for a machine that is busy
    for _ in $(seq $(($1 * 10))); do
        alive "$job" || return 0
        sleep 0.1
    done
    fail "the job has not ended after $1 s"
}
gone() {                                        # soon: the launcher kills, and does not wait for what it has killed
    for p; do
        for _ in $(seq 50); do alive "$p" || break; sleep 0.1; done
        ! alive "$p" || fail "process $p is left behind"
    done
}

# ---- one rank stands still: an inner one, the last one, and rank 0, whom another must name ----
for who in 1 3 0; do
    begin 4 train "$config" "${small[@]}" --set run.dir=stop$who
    at_step 3 stop$who
    all=$(ranks)
    kill -STOP "$(rank $who)"
    bounded 60
    ended 80
    gone $all
    blames "rank $who on node $host has not "
    grep -qE "^asvr: error: rank $who on node $host has not (entered|left) [a-z-]+( .*)? [0-9]+ \(step [0-9]+\); others wait [0-9]+ s$" err ||
        { cat err; fail "what is said of rank $who names no collective and step"; }
done

# ---- alone: who waits for nobody is named as well ----
begin 0 train "$config" "${small[@]}" --set run.dir=alone --set train.global_batch=4 --set data.shard_samples=32
at_step 3 alone
kill -STOP "$job"
sleep 6
kill -CONT "$job"                               # its watchdog stood as still: that is no evidence
sleep 1
alive "$job" || { cat err; fail "a process that was stopped and continued was taken for one that hangs"; }
kill -TERM "$job"
ended 75

# ---- a job that is stopped whole, longer than the time, and goes on ----
begin 2 train "$config" "${small[@]}" --set run.dir=whole
at_step 3 whole
all=$(ranks)
kill -STOP $all
sleep 6
kill -CONT $all
at=$(wc -l <whole/run.jsonl)
at_step $((at + 20)) whole
kill -USR1 "$job"
ended 75
! grep -q 'asvr: error' err || { cat err; fail "a stop of the whole job is no hang"; }

# ---- a rank that gets a sixth of the time: named with what the others wait, and it lives ----
begin 2 train "$config" "${small[@]}" --set run.dir=slow
at_step 3 slow
p=$(rank 1)
for _ in $(seq 120); do
    kill -STOP "$p"
    sleep 0.25
    kill -CONT "$p"
    sleep 0.05
    ! grep -q '"straggler": {"rank": 1, "host": "'"$host"'", "seconds": [0-9.e-]*, "collective": null}' slow/run.jsonl || break
done
kill -USR1 "$job"
ended 75
grep -q '"straggler": {"rank": 1, "host": "'"$host"'", "seconds": ' slow/run.jsonl || { tail -3 slow/run.jsonl; fail "the slow rank is not in run.jsonl"; }
grep -q '"straggler": null' slow/run.jsonl || fail "there was a straggler from the start"
grep -qE "^step [0-9]+: rank 1 on node $host is slow: the others wait [0-9.]+ s a step for it" out || { cat out; fail "no line names the slow rank"; }

# ---- the disk of one rank stands still while all save: named, not one of those that wait for it ----
ASVR_FAULT='1:*:tensors:slow:600' says 80 3 train "$config" "${small[@]}" --set run.dir=disk --set train.global_batch=6 \
    --set train.micro_batch=2 --set train.steps=2 --set watch.timeout=2
blames "rank 1 on node $host has not entered agreement "

# ---- a step that takes longer than the time, of many micro-batches that do not: who computes does not hang ----
ASVR_FAULT='*:2:forward:slow:1' says 0 2 train "$config" "${small[@]}" --set run.dir=long --set train.micro_batch=1 --set train.steps=2

# ---- never: the key is kept ----
says 0 2 train "$config" "${small[@]}" --set run.dir=never --set watch.timeout=-1 --set train.steps=3
