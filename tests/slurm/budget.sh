# Which end is worth another start, and how often.
. "$ROOT/tests/slurm/tools.inc"
export ASVR_BUDGET=2

# Killed each time before there is a checkpoint: two more starts, and a sentence.
fault='0:5:forward:kill'
submit killed -N 1
finished FAILED killed
[ "$(field "$job" Restarts)" = 2 ] || trouble "killed: $(field "$job" Restarts) restarts, expected 2"      # starts that MPI did not survive count, too
tells killed 'ended with 137' 'given up: 3 starts in a row without a new checkpoint'

# Killed oftener, but each life gets a checkpoint further: it ends.
fault='*:8:prune:kill,*:16:prune:kill,*:24:prune:kill,*:32:prune:kill'
submit further -N 1 -- --set ckpt.async=false
finished COMPLETED further
whole further
restarts 4 further

# What would end the same way again is not started again.
for code in 65 70 74 78 79; do
    fault="*:3:forward:exit:$code"
    submit never$code -N 1
    finished FAILED never$code
    restarts 0 never$code
    [ "$(field "$job" ExitCode)" = $code:0 ] || fail "exit $code became $(field "$job" ExitCode)"
done
fault=
# (its words hold what looks like a script's name)
submit typo.sbatch -N 1 -- --set train.sets=3
finished FAILED typo.sbatch
restarts 0 typo.sbatch
tells typo.sbatch train.sets
[ "$(field "$job" ExitCode)" = 78:0 ] || fail "a wrong configuration ends with $(field "$job" ExitCode)"

# The launcher fails each time: two jobs of one run count their own starts, and one counts where nothing can be written.
export ASVR_MPI=none-such
submit both -N 1
one=$job
submit both -N 1
two=$job
: >file
submit file/run -N 1 --output="$TMP/unwritten.log"
three=$job
for job in $one $two $three; do finished FAILED both; done
for job in $one $two; do restarts 2 both; done
job=$three
restarts 2 unwritten
tells both 'given up: 3 starts in a row'
tells unwritten 'given up: 3 starts in a row'
unset ASVR_MPI
ASVR_RANKS_PER_NODE=64 submit many -N 1
finished FAILED many
restarts 0 many
tells many '64 ranks of 1 CPUs do not fit on a node of'

# Another job has the folder, and stands still until the second one has found it so: that waits its turn in the queue.
fault=$slow
submit first -N 1 -- --set watch.timeout=-1
at_step 4 first
one=$job
node=$(node_of 1)
rank=$(rank_on "$node")
cluster node "$node" kill -STOP "$rank"
ASVR_BUDGET=99 submit first -N 1 -- --set watch.timeout=-1
two=$job
refused() { grep -q 'the run directory is in use' first.log; }
until_true 120 refused
cluster node "$node" kill -CONT "$rank"
for job in $one $two; do finished COMPLETED first; done
tells first 'ended with 76'
whole first
