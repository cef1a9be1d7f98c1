# A run that was stopped, killed and resumed: status tells each life and why it ended, and where the time went, from files alone.
. "$(dirname "$0")/tools.inc"

small+=(--set train.steps=40 --set train.global_batch=16 --set ckpt.every=5)
says 0 1 pack "$config" "${small[@]}"

status() { "$ASVR" status "$@" >out 2>err || { cat out err; fail "asvr status $*: exit $?"; }; [ ! -s err ] || { cat err; fail "asvr status $* complains"; }; }
tells() { for text; do grep -qE -- "$text" out || { cat out; fail "status does not tell: $text"; }; done; }
# value KEY: the first of that name in --json; last KEY EVENT: of the last such line of lives.jsonl
value() { grep -oE "\"$1\": [^,}]*" <<<"$json" | head -1 | cut -d' ' -f2 | tr -d '"'; }
last() { grep "^{\"event\": \"$2\"" run/lives.jsonl | tail -1 | sed -n 's/.* "'"$1"'": "\{0,1\}\([^",}]*\).*/\1/p'; }
near() { awk -v a="$1" -v b="$2" -v e="$3" 'BEGIN { exit !(a - b <= e && b - a <= e) }' || fail "$4: $1, but $2"; }

# ---- a life that is stopped, one that is killed, one that is done ----
begin 2 train "$config" "${small[@]}" --set run.dir=run
at_step 8 run
status run
tells '^run  instruct  step [0-9]+ of 40 \[#+\.+\]' '^state    running, its heart beats$' '^on       2 ranks x 1 thread .2 replicas of 1., 1 node: ' '^rate ' '^ETA ' \
    '^ +1  .* running, its heart beats$'
kill -USR1 $job
ended 75
status run
one=$(last step end)
tells "^state    ended with 75: stopped after step $one on request" "^saved    step $one, [0-9]+ s ago, .* looks whole$"

begin 0 train "$config" "${small[@]}" --set run.dir=run
at_step $((one + 6)) run
kill -9 $job
ended any
two=$(tail -1 run/run.jsonl | sed 's/^{"step": \([0-9]*\),.*/\1/')
status run
tells "^state    killed without a word after step $two, last heard .* ago$" "^ +2 .*  killed without a word after step $two, "
cp -r run killed

begin 0 train "$config" "${small[@]}" --set run.dir=run
until [ "$(grep -c '^{"event": "start"' run/lives.jsonl)" = 3 ]; do alive $job || break; sleep 0.01; done
"$ASVR" status run --watch >watched 2>&1 &
watcher=$!
ended 0
wait $watcher || fail "--watch ends with $?"
grep -q '^step 40/40  loss .* done$' watched || { cat watched; fail "--watch does not say that the run is done"; }

status run
from=$(last step resume)
again=$((two - from))
tells '^run  instruct  step 40 of 40 \[#{30}\] 100.0 %$' '^state    done$' "^ +1 .* 1-$one +- .*75: stopped after step $one on request" \
    "^ +2 .* $((one + 1))-$two +$([ $again = 0 ] && echo - || echo $again) .*killed without a word after step $two, last heard" \
    "^ +3 .* $((from + 1))-40 +- .*  done$" '^  steps that count .* effective training time$' '^  waiting between lives '

# ---- the seconds: each is spent on one thing, and what counts is what run.jsonl has ----
status run --json
json=$(<out)
wall=$(value wall_s)
near "$(sed 's/.*"seconds": {\([^}]*\)}, "lives".*/\1/; s/"[a-z_]*": //g; s/, /+/g' out | awk -F+ '{ for (i = 1; i <= NF; i++) s += $i; print s }')" "$wall" 0.01 "the seconds by cause sum up to the wall time"
near "$wall" "$(awk -v a="$(sed -n 's/^{"event": "start", "time": \([0-9.]*\).*/\1/p' run/lives.jsonl | head -1)" -v b="$(last time end)" 'BEGIN { print b - a }')" 0.01 "wall time"
near "$(value effective)" "$(column t_step run | awk -v w="$wall" '{ s += $2 } END { print s / w }')" 0.001 "effective training time"
near "$(value saves)" "$(column t_ckpt run | awk '{ s += $2 } END { print s }')" 0.2 "waiting for saves"
[ "$(value state)" = ended ] && [ "$(value step)" = 40 ] && [ "$(value steps)" = 40 ] || { cat out; fail "--json says something else"; }

# ---- damaged, of an older version, without a record: what is not known is said ----
cp -r run torn
printf '{"step": 41, "ti' >>torn/run.jsonl
printf '{"event": "end", "time": 17' >>torn/lives.jsonl
status torn
tells 'step 40 of 40' '^state    done$'
sed -i -e '3s/.*/\x00 nothing/' torn/run.jsonl torn/lives.jsonl
status torn
tells 'step 40 of 40' 'could not be read$'
cp -r torn wild                                 # times and steps that nobody can have lived, an escape, a lease that is none
printf '\n{"event": "start", "time": 1e300, "life": "x", "nodes": []}\n{"event": "start", "time": 4e9, "life": "y", "nodes": ["\\u001b[31m\\n"]}\n' >>wild/lives.jsonl
printf '\n{"step": 9223372036854775807, "time": 1e300}\n{"step": -3, "time": 1e9}\n' >>wild/run.jsonl
echo nothing >wild/.lease
status wild
tells 'step 40 of 40' '^state    killed without a word' 'lines of run.jsonl or lives.jsonl could not be read$'
! grep -q "$(printf '\033')" out || fail "an escape of a file reaches the terminal"
status wild --json
cp -r run old
rm old/lives.jsonl
sed -i -e 's/"t_ckpt": [^,]*, //; s/"straggler": null, //; s/, "hash".*/}/' old/run.jsonl
status old
tells 'step 40 of 40' '^state    done$' 'not known: it left no record' 'lives left no record'
rm -r old/config.cfg old/ckpt old/.lease
status old
tells 'of how many is not known' '^saved    nothing yet'
rm killed/lives.jsonl
status killed
tells '^state    not running; why it ended is not known: there is no lives.jsonl$'
status killed/ --watch

# ---- what is no run ----
mkdir empty
for what in empty none run/run.jsonl; do
    says 65 0 status $what
    blames $what "a run's folder"
done

# ---- a job: what squeue says, and no longer than two seconds ----
mkdir bin
SLURM_JOB_ID=77 says 0 0 train "$config" "${small[@]}" --set run.dir=run
squeue() { printf '#!/bin/sh\n%s\n' "$1" >bin/squeue; chmod +x bin/squeue; PATH=$PWD/bin:$PATH status run; }
squeue 'echo "$*" >asked; echo "PENDING|Priority|1:00:00|2027-01-01T00:00:00|"'
grep -q -- '-j 77 ' asked || fail "squeue was not asked for the job"
tells '^job      77: PENDING, Priority, starts 2027-01-01T00:00:00$'
squeue 'echo "slurm_load_jobs error: Invalid job id specified" >&2; exit 1'
tells '^job      77 .not in the queue any more.$'
from=$SECONDS
squeue 'sleep 100'
tells '^job      77 .squeue has not answered within 2 s.$'
[ $((SECONDS - from)) -lt 30 ] || fail "squeue was waited for"

# ---- the watchdog's verdict, whoever says it; each life adds to what is there ----
for who in 1 0; do
    rm -f hung/run.jsonl
    begin 2 train "$config" "${small[@]}" --set run.dir=hung --set train.steps=100000 --set ckpt.every=0 --set watch.timeout=1
    at_step 5 hung
    sleep 1.5                                   # all have told of a step since: the first may take ten times as long
    for p in $(ranks); do ! tr '\0' '\n' <"/proc/$p/environ" | grep -qx "OMPI_COMM_WORLD_RANK=$who" || kill -STOP "$p"; done
    ended 80
    status hung
    tells "^state    ended with 80: rank $who on node $(hostname) has not (entered|left) " "^hung  .* rank $who on node $(hostname) has not " '^  hanging, until it was found '
    grep -q '^{"event": "watch", .* "by": '$((1 - who))', "rank": '$who', "host": "'"$(hostname)"'", "collective": "[a-z-]*", "why": ' hung/lives.jsonl ||
        { cat hung/lives.jsonl; fail "the verdict is not in lives.jsonl"; }
done
[ "$(grep -c '^{"event": "start"' hung/lives.jsonl)" = 2 ] && [ "$(grep -c '^{"event": "lost"' hung/lives.jsonl)" = 1 ] ||
    { cat hung/lives.jsonl; fail "not two lives, the first of them lost"; }

# ---- a rank that dies by itself, of an error of MPI: what it says is the reason ----
cat >fail.c <<'C'
#include <mpi.h>
#include <unistd.h>
int MPI_Allreduce(const void *a, void *b, int n, MPI_Datatype t, MPI_Op o, MPI_Comm c)
{
    return access("fail", F_OK) ? PMPI_Allreduce(a, b, n, t, o, c) : MPI_ERR_OTHER;
}
C
mpicc -shared -fPIC -o fail.so fail.c
LD_PRELOAD=$PWD/fail.so "$ASVR" train "$config" "${small[@]}" --set run.dir=died --set train.steps=100000 >out 2>err &
job=$!
at_step 3 died
touch fail
ended 70
status died
tells '^state    ended with 70: rank 0: .*MPI'
