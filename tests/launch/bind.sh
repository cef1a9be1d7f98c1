# Which cores a rank computes on, by the mask that the launcher left it; what the first lines say of nodes; and no bit depends on it.
. "$(dirname "$0")/tools.inc"

small+=(--set parallel.threads=0 --set parallel.bind=auto --set train.micro_batch=2)
unset OMP_NUM_THREADS
says 0 1 pack "$config" "${small[@]}"
node=$(hostname); node=${node%%.*}
heads=($(cores))
cores=${#heads[@]}
line() { grep -qE "^$node: $1" out || { cat out err; fail "no line: $1"; }; }
warns() { grep -qF "asvr: warning: $node: $1" err || { cat out err; fail "no warning: $1"; }; }
calm() { ! grep "warning: $node" err || fail "that was no reason to warn"; }

# run NAME RANKS ENV... -- ARGS...: trains a few steps
run() {
    local name=$1 ranks=$2 env=()
    shift 2
    while [ "$1" != -- ]; do env+=("$1"); shift; done
    (for e in "${env[@]}"; do export "$e"; done; says 0 "$ranks" train "$config" "${small[@]}" --set run.dir=$name "${@:2}")
}

# ---- masks of ranks under way: of all their threads ----
# masks RANKS CPUS ARGS...: starts ranks on these CPUs, waits for a step, and leaves each rank's mask in ${got[]}
masks() {
    local was
    was=$(mask /proc/self/status)
    rm -rf long
    taskset -pc "$2" $$ >/dev/null
    begin "$1" train "$config" "${small[@]}" --set run.dir=long --set train.steps=1000000 "${@:3}"
    taskset -pc "$was" $$ >/dev/null
    at_step 2 long
    got=()
    for pid in $([ "$1" = 0 ] && echo $job || ranks); do
        local all
        all=$(for t in /proc/$pid/task/*/status; do mask $t; done | sort -u)
        [ "$(wc -l <<<"$all")" = 1 ] || fail "the threads of a rank have several masks: $all"
        got+=("$all")
    done
    kill -USR1 $job
    ended 75
}
one=${heads[0]}
masks 0 $one
[ "${got[*]}" = "$one" ] || fail "alone on CPU $one it got ${got[*]}"
line "1 rank x 1 thread on 1 of [0-9]+ cores?, 1 NUMA domain$"
calm
masks 2 $one
[ "${got[*]}" = "$one $one" ] || fail "2 ranks on CPU $one got ${got[*]}"
line "2 ranks x 1 thread on 1 of [0-9]+ cores?, 1 NUMA domain, not bound$"
warns '2 ranks share 1 core:'
[ "$(grep -c 'warning: .*share' err)" = 1 ] || { cat err; fail "warned more than once"; }
if [ $cores -ge 2 ]; then
    two=$one,${heads[1]}
    masks 2 $two
    [ "$(printf '%s\n' "${got[@]}" | sort -n | xargs)" = "${two//,/ }" ] || fail "2 ranks on CPUs $two got ${got[*]}"
    line '2 ranks x 1 thread on 2 of [0-9]+ cores, [0-9]+ NUMA domains?, each rank bound to its share$'
    calm
    masks 2 $two --set parallel.bind=none
    for m in "${got[@]}"; do [ "$(expand $m | xargs)" = "${two//,/ }" ] || fail "with parallel.bind = none a rank got $m"; done
    line '2 ranks x 1 thread on 2 of [0-9]+ cores, [0-9]+ NUMA domains?, not bound$'
    # A launcher's own masks stay, and each is all that a rank has.
    mpirun -n 1 taskset -c $one "$ASVR" train "$config" "${small[@]}" --set run.dir=given : \
           -n 1 taskset -c ${heads[1]} "$ASVR" train "$config" "${small[@]}" --set run.dir=given >out 2>err || { cat out err; fail "given masks"; }
    line '2 ranks x 1 thread on 2 of [0-9]+ cores, [0-9]+ NUMA domains?, bound by the launcher$'
    calm
    mpirun -n 1 taskset -c $one "$ASVR" train "$config" "${small[@]}" --set run.dir=partly : \
           -n 1 taskset -c $two "$ASVR" train "$config" "${small[@]}" --set run.dir=partly >out 2>err || { cat out err; fail "masks that meet"; }
    warns 'the launcher gave its 2 ranks cores that overlap in part'
    # What OMP_PROC_BIND has tied nobody unties.
    run pinned 2 OMP_PROC_BIND=close OMP_PLACES=cores --
    warns 'OMP_PROC_BIND or OMP_PLACES pins the threads of 2 ranks onto the same cores'
    line '2 ranks x [0-9]+ threads? on [0-9]+ of [0-9]+ cores, [0-9]+ NUMA domains?, not bound$'
    run auto 2 --
    run free 2 -- --set parallel.bind=none
    run more 2 -- --set parallel.threads=3
    warns "a rank has 3 threads (parallel.threads) and $((cores / 2)) core" || [ $cores -ge 6 ]
    for other in free more given partly pinned; do same_losses auto $other; done
fi

# ---- who says how many threads ----
wants() {                                       # THREADS ENV...: of one rank on one core
    local want=$1
    shift
    rm -rf said
    run said 0 "$@" --
    [ "$(column threads said | head -1)" = "1 $want" ] || fail "$*: $(column threads said | head -1), not $want"
}
wants $cores
wants 1 SLURM_CPUS_PER_TASK=1
calm
wants $cores SLURM_CPUS_PER_TASK=999
warns "SLURM_CPUS_PER_TASK is 999, and a rank has $cores core"
wants 2 OMP_NUM_THREADS=2 SLURM_CPUS_PER_TASK=1
[ $cores = 1 ] || warns 'OMP_NUM_THREADS is 2 and SLURM_CPUS_PER_TASK 1: the first counts'

# ---- what Slurm gave and nobody uses; pack and bench say it, too ----
idle() {                                        # TEXT ENV...: for one rank of one thread
    run idle 0 "${@:2}" -- --set parallel.threads=1
    grep -qxF "left idle: $1" out || { cat out; fail "not left idle: $1"; }
}
few=$([ $cores -gt 1 ] && echo ", $((cores - 1)) of $cores cores on the others" || :)
idle "2 of 3 nodes (a[1-2])$few" SLURM_JOB_NUM_NODES=3 SLURM_JOB_NODELIST="a[1-2],$node" SLURM_JOB_CPUS_PER_NODE="4(x2),$(nproc)"
idle "2 of 3 nodes (a[1-2])" SLURM_JOB_NUM_NODES=3 SLURM_JOB_NODELIST="a[1-2],$node" SLURM_JOB_CPUS_PER_NODE="4(x2),1"
line '1 rank x 1 thread on 1 of 1 core,'         # a job that was given one CPU
says 0 0 pack "$config" "${small[@]}" --set data.set=again/index.set
line '1 rank x '
says 0 1 bench "$config" "${small[@]}" --set run.dir= --set parallel.threads=1
line '1 rank x 1 thread on 1 of '
