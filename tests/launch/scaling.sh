# asvr scaling: points run and are predicted, finished ones are kept, failed ones run again; table, CSV, JSON Lines, picture.
. "$(dirname "$0")/tools.inc"
${CC:-cc} -o jsonok "$(dirname "$config")/../tests/launch/jsonok.c" $(pkg-config --cflags --libs jansson)

# A launcher of the user's own: N ranks, unless the file "broken" says how N of them end, or "slow" that they take long.
cat >launch <<'T'
#!/bin/bash
n=$1
shift
echo "$n" >>launched
[ ! -f slow ] || exec sleep 60
[ ! -f deaf ] || { setsid bash -c 'trap "" TERM; echo $$ >orphan; sleep 60; sleep 60' & exec sleep 60; }
[ ! -f broken ] || [ "$(cut -d' ' -f1 broken)" != "$n" ] || exit "$(cut -d' ' -f2 broken)"
[ -f odd ] || exec mpirun -n "$n" "$@"
mpirun -n "$n" "$@"
exit 1
T
chmod +x launch
series=(--set run.dir=run --set data.set= --set train.micro_batch=1 --set train.global_batch=2 --set model.decoder.max_len=24
        --set scaling.launcher="./launch %n" --set scaling.threads=1 --set scaling.warm=0 --set scaling.steps=2 --set scaling.repeat=2)
scaling() { : >launched; says "$1" 0 scaling "$config" "${series[@]}" "${@:2}"; }
launched() { [ "$(sort -n launched | tr '\n' ' ')" = "$1" ] || { cat out; fail "launched: $(tr '\n' ' ' <launched), expected $1"; }; }
# cells NAME: the column of that name of scaling.csv
cells() { awk -F, -v name="$1" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) c = i; next } { print $c }' run/scaling/scaling.csv | tr '\n' ' '; }
holds() { [ "$(cells "$1")" = "$2" ] || { cat run/scaling/scaling.csv; fail "$1: $(cells "$1"), expected $2"; }; }

# ---- a series, with one point that fails: 78 on two ranks ----
echo 2 78 >broken
scaling 78 --set scaling.ranks=1,2,3
grep -q '^left out   weak, 3 ranks' out && fail "3 replicas of 1 divide 6 samples"
launched '1 1 2 2 3 '
holds state 'done failed done '
holds code '0 78 0 '
grep -q 'failed (78): run/scaling/points/r2' out || { cat out; fail "the table does not say what failed"; }
! grep -q '^asvr: OK' out || fail "OK, though a point failed"
rm broken

# ---- what failed runs again, and what its rates predict; the rest is kept ----
scaling 0 --set scaling.ranks=1,2,3
launched '2 2 '
[ "$(grep -c 'has been measured' out)" = 3 ] || { cat out; fail "finished points are kept"; }
holds state 'done done done '
[ "$(tail -1 out)" = 'asvr: OK' ] || { cat out; fail "the last line"; }
tail -2 out | head -1 | grep -qE '^Samples Per Second \(FOM\): [0-9]+\.[0-9]{2}$' || { cat out; fail "the figure of merit"; }
scaling 0 --set scaling.ranks=1,2,3
launched ''

# ---- both kinds, tp: twins run once, what does not divide is named, every point is predicted ----
scaling 0 --set scaling.ranks=1,2 --set scaling.tp=1,2 --set scaling.kind=both
launched '2 2 2 '                                       # the rates of tp 2; tp 2; strong on two replicas
grep -q '^left out   weak, 1 rank, tp 2, micro-batches of 1: 1 rank cannot be divided into groups of 2$' out || { cat out; fail "left out"; }
holds series 'weak weak weak strong strong strong '
holds ranks '1 2 2 1 2 2 '
holds tp '1 1 2 1 1 2 '
holds global_batch '2 4 2 2 2 2 '
holds save_s '      '                                   # not measured is no number
cells predicted_step_s | awk '{ for (i = 1; i <= NF; i++) bad += $i <= 0; exit NF != 6 || bad }' || fail "predicted: $(cells predicted_step_s)"
# Parts are the step, and nothing is counted twice: what is left is no less than nothing.
awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; n = split("forward backward sums optimizer tp dp world rest", part, " "); next }
    { sum = 0; for (k = 1; k <= n; k++) sum += $at[part[k] "_mean_over_ranks_s"]
      whole = $at["step_mean_over_ranks_s"]; off = sum / whole - 1; rest = $at["rest_mean_over_ranks_s"] / whole
      bad += off > 1e-6 || off < -1e-6 || rest < -0.001 || rest > 0.3 } END { exit bad || NR != 7 }' run/scaling/scaling.csv ||
    { cat run/scaling/scaling.csv; fail "the parts of a step are not the step"; }
./jsonok run/scaling/scaling.jsonl run/scaling/points/*/*.json || fail "not JSON"
for path in step step-\>forward step-\>backward step-\>reduce step-\>optimizer; do
    grep -qE "^\{\"params\": \{\"p\": 2, \"tp\": 2\}, \"callpath\": \"weak->$path\", \"metric\": \"time\", \"value\": \[[-0-9.e]+, [-0-9.e]+\]\}$" \
        run/scaling/scaling.jsonl || { cat run/scaling/scaling.jsonl; fail "no $path"; }
done
[ "$(grep -c '<circle' run/scaling/scaling.svg)" = $((6 + 2 * 3)) ] || fail "the picture has not all points"     # and its legends
grep -q 'Strong scaling: speed-up' run/scaling/scaling.svg && tail -1 run/scaling/scaling.svg | grep -q '^</svg>$' || fail "the picture is not whole"

# ---- a changed setting is another measurement; a checkpoint is measured where it is asked for ----
scaling 0 --set scaling.ranks=1 --set train.lr=0.5 --set bench.ckpt=true
launched '1 1 '
cells save_s | awk '{ exit !($1 > 0) }' || fail "no checkpoint was measured"
[ -z "$(find run -name 'bench-ckpt' -o -name 'step-*')" ] || fail "the benchmark's checkpoint is left"
# What Open MPI's launcher now and then says of ranks that have ended well is told, and is no failure.
: >odd
scaling 0 --set scaling.ranks=1 --set train.lr=0.75
[ "$(grep -c 'the launcher ended with 1, after the benchmark had ended well' out)" = 2 ] || { cat out; fail "a launcher's complaint"; }
rm odd
# By hand, the same again.
says 0 1 bench run/scaling/points/r1-tp1-zero0-mb1-th1-gb2/point.cfg

# ---- too slow, and asked to stop ----
: >slow
scaling 76 --set scaling.ranks=1 --set scaling.max_seconds=1 --set train.lr=0.25
grep -q 'it took longer than scaling.max_seconds' out || { cat out; fail "too slow"; }
: >launched
begin 0 scaling "$config" "${series[@]}" --set scaling.ranks=1 --set train.lr=0.125
for _ in $(seq 500); do [ ! -s launched ] || break; sleep 0.02; done
child=$(ranks)
kill -TERM "$job"
ended 75
! alive "${child%% *}" || fail "a point goes on after the series was stopped"
rm slow

# ---- a rank in a group of its own that does not listen ends, too ----
: >deaf
scaling 76 --set scaling.ranks=1 --set scaling.max_seconds=1 --set train.lr=0.25
! alive "$(cat orphan)" || fail "a rank goes on after its launcher was ended"
rm deaf

# ---- two at once ----
: >slow
: >launched
begin 0 scaling "$config" "${series[@]}" --set scaling.ranks=1 --set train.lr=0.125
for _ in $(seq 500); do [ ! -s launched ] || break; sleep 0.02; done
first=$job
says 76 0 scaling "$config" "${series[@]}" --set scaling.ranks=1
blames 'scaling.dir is in use'
kill -TERM "$first"
ended 75
rm slow

# ---- a launcher that starts other ranks than it is asked for measures nothing ----
scaling 78 --set scaling.ranks=1 --set train.lr=0.25 --set scaling.launcher='mpirun -n 2'
[ "$(grep -c 'it ran with 2 ranks of 1 thread, tp 1, and not with what was asked for' out)" = 2 ] || { cat out; fail "2 ranks pass for 1"; }
holds state 'failed '
scaling 74 --set scaling.ranks=1 --set train.lr=0.25 --set scaling.launcher=true
grep -q 'the launcher ended with 0, but there is nothing measured: .*steps.json' out || { cat out; fail "a launcher that starts nothing"; }
scaling 78 --set scaling.ranks=1 --set train.lr=0.25 --set scaling.launcher=./nothing
grep -q 'failed: the launcher cannot be started' out || { cat out; fail "a launcher that there is not"; }

# ---- what is asked wrongly ----
says 78 0 scaling "$config" "${series[@]}" --set scaling.ranks=1,two
blames scaling.ranks 1,two
says 78 0 scaling "$config" "${series[@]}" --set scaling.tp=3 --set scaling.ranks=3
blames 'no point of the series can be run'
says 78 0 scaling "$config" "${series[@]}" --set train.stage=contrast
blames train.stage
says 78 2 scaling "$config" "${series[@]}"
blames 'starts the ranks of its points itself'
