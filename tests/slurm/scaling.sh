# A series inside an allocation: each point is a step of srun, predicted before it runs; what is finished is not run again.
. "$ROOT/tests/slurm/tools.inc"
fault=
script=$ROOT/slurm/scaling.sbatch
series=(--set run.dir=series --set scaling.ranks=1,2,4 --set scaling.tp=1,2 --set scaling.steps=2 --set scaling.repeat=2 --set scaling.warm=1)
submit series -N 2 -- "${series[@]}"
finished COMPLETED series 240
tells series 'asvr: OK'
grep -qE '^Samples Per Second \(FOM\): [0-9.]+$' series.log || trouble 'no figure of merit'
for f in scaling.csv scaling.svg scaling.jsonl; do [ -s series/scaling/$f ] || fail "no $f"; done
[ "$(ls series/scaling/points | wc -l)" -ge 5 ] || fail "points: $(ls series/scaling/points)"
stat -c '%n %Y' series/scaling/points/*/steps.json >before
submit series -N 2 -- "${series[@]}"
finished COMPLETED series
stat -c '%n %Y' series/scaling/points/*/steps.json | diff before - || fail 'finished points ran again'
