# job.sh -- what the batch scripts of this folder, and those that `asvr submit` writes, have in common
#
#     . .../slurm/job.sh
#     job_run VERB CONFIG [--set KEY=VALUE]...        starts it on the job's nodes, waits, and puts the job back into the queue or not
#
# A site's own: the file $ASVR_SITE, or site.sh beside this file, or /etc/asvr/site.sh, is read first (site.example.sh).  It may load modules and set
# these; ranks, threads and budget that a job comes with count more.
#
#     ASVR                    the program (build/asvr beside this folder; installed in PREFIX/share/asvr/slurm, PREFIX/bin/asvr)
#     ASVR_WRAP               words before it: "apptainer exec asvr.sif"
#     ASVR_MPI                srun's --mpi (pmix)
#     ASVR_RANKS_PER_NODE     (parallel.tp, or a rank a socket if that is more; pack: a rank a CPU)
#     ASVR_THREADS            CPUs of a rank (the node's, divided by its ranks)
#     ASVR_SCRATCH            a folder on each node's own disk: train keeps steps there between checkpoints (ckpt.local)
#     ASVR_BUDGET             restarts without a new checkpoint after which the job ends (5)
#
# Which end is worth another start: README.md, and asked_for below.

job_say() { echo "asvr job: $*" >&2; }
job_fail() { job_say "$2"; exit "$1"; }

# A job that was submitted from within another, an array's element or a restarted one, inherits what Slurm does not set for it itself.
# What was asked for Slurm alone knows (CPUs/Task=1 is also what it says of a job that asked for none).
job_own() {
    local said
    said=$(timeout 60 scontrol show job -o "$SLURM_JOB_ID" 2>/dev/null | grep "^JobId=$SLURM_JOB_ID ") || return
    [[ $said = *" ArrayJobId="* ]] || unset SLURM_ARRAY_JOB_ID SLURM_ARRAY_TASK_ID
    [[ ! $said =~ " Restarts="([0-9]+) ]] || export SLURM_RESTART_COUNT=${BASH_REMATCH[1]}
    [[ $said != *" NtasksPerN:B:S:C=0:"* ]] || unset SLURM_NTASKS_PER_NODE
    [[ $said != *" CPUs/Task=1 "*" NtasksPerN:B:S:C=0:"* ]] || unset SLURM_CPUS_PER_TASK
}
[ -z "${SLURM_JOB_ID:-}" ] || job_own

# An element of an array has an id of its own; SLURM_JOB_ID may be the array's.
job_id=${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}}
job_id=${job_id:-${SLURM_JOB_ID:-}}
job_life=${SLURM_RESTART_COUNT:-0}
job_asked=
job_step=
# The script lives on to read the ranks' answer.  Slurm signals them itself, but for --signal=B:USR1: that one is passed on.  Twice
# within a moment is once (stop.grace).
trap job_asked=1 TERM INT HUP XCPU
trap 'job_asked=1; [ -z "$job_step" ] || kill -USR1 "$job_step" 2>/dev/null' USR1 USR2
job_home=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# ---- what it runs on ----

# The fewest CPUs that a node has given us: SLURM_JOB_CPUS_PER_NODE is "64(x3),48".
job_cpus() { tr ',' '\n' <<<"${SLURM_JOB_CPUS_PER_NODE:-${SLURM_CPUS_ON_NODE:-1}}" | sed 's/(.*//' | sort -n | head -1; }
job_sockets() { lscpu -p=SOCKET 2>/dev/null | grep -v '^#' | sort -u | wc -l; }

# The program beside this folder: of a tree, or of what was installed.
job_program() {
    local installed=$job_home/../../../bin/asvr
    if [ ! -x "$job_home/../build/asvr" ] && [ -x "$installed" ]; then echo "$installed"; else echo "$job_home/../build/asvr"; fi
}

# $(job_ask WORDS...): of the program, before there are ranks; a signal is looked at behind it.
job_ask() { trap '' TERM INT HUP USR1 USR2 XCPU; ${ASVR_WRAP:-} "$ASVR" "$@"; }

# job_key GROUP KEY: of the effective configuration.
job_key() {
    sed -n "/^$1: {/,/^};/s/^ *$2 = \(.*\);\$/\1/p" <<<"$job_config" | sed 's/^"\(.*\)"$/\1/; s/\\\(.\)/\1/g'
}

# Sets job_words: the step's command line.
job_layout() {
    local verb=$1 cpus each tp nodes=${SLURM_JOB_NUM_NODES:-1} ranks answer threads
    shift
    cpus=$(job_cpus)
    tp=$(job_key parallel tp)
    each=$(job_sockets)
    [ "$each" -ge 1 ] || each=1
    [ "$each" -ge "${tp:-1}" ] || each=$tp
    [ "$verb" != pack ] || each=$cpus
    [ "$each" -le "$cpus" ] || each=$cpus
    each=${ASVR_RANKS_PER_NODE:-${SLURM_NTASKS_PER_NODE:-$each}}
    ranks=$((nodes * each))
    case $verb in
    train | bench)                                          # what does not divide is left out, and the run says so
        answer=$(job_ask plan "$@" --set plan.ranks=$ranks) || exit
        ranks=${answer#ranks }
        ranks=${ranks%%:*}
        [ "$ranks" = $((nodes * each)) ] || job_say "$answer" ;;
    esac
    nodes=$(((ranks + each - 1) / each))
    threads=${ASVR_THREADS:-${SLURM_CPUS_PER_TASK:-$((cpus / each))}}
    [ "$threads" -ge 1 ] || threads=1
    [ $((each * threads)) -le "$cpus" ] || job_fail 78 "$each ranks of $threads CPUs do not fit on a node of $cpus: ASVR_RANKS_PER_NODE, ASVR_THREADS"
    job_words=(srun --mpi="${ASVR_MPI:-pmix}" --kill-on-bad-exit=1 --nodes=$nodes --ntasks=$ranks --ntasks-per-node="$each"
               --cpus-per-task="$threads" ${ASVR_WRAP:-} "$ASVR" "$verb" "$@")
}

# ---- how often it may start again ----

# What tells that a life has got anywhere.
job_progress() {
    case $1 in
    train)                                                  # of stages, too, whose runs and data sets lie below the last one's
        local there
        there=$(cd "$(job_key run dir)" >/dev/null 2>&1 && find . -maxdepth 3 \( -regex '.*/ckpt/step-[0-9]+' -o -path './*/train-*.h5' \) | sort)
        [ -z "$there" ] || cksum <<<"$there" | tr ' ' - ;;
    pack)  ls "$(dirname "$(job_key data set)")" 2>/dev/null | grep -c '\.h5$' ;;
    esac
}

# Where the lives of this job leave word for each other: progress, and the starts in a row that found it so.  A file a job: two jobs of
# one run start in the same moment.
job_record() {
    case $1 in
    train) echo "$(job_key run dir)/.restarts.$job_id" ;;
    pack)  echo "$(dirname "$(job_key data set)")/.restarts.$job_id" ;;
    esac
}

# Starts of this job in a row, this one among them, that found no progress.  Others than train and pack have none to show: all count,
# as they do where nothing can be written.
job_starts() {
    local file has had n=0
    file=$(job_record "$1")
    has=$(job_progress "$1")
    if [ "$job_life" -gt 0 ] && read -r had n 2>/dev/null <"$file" && [ "$had" = "${has:--}" ]; then n=$((n + 1)); else n=0; fi
    [ -n "$file" ] && mkdir -p "${file%/*}" && echo "${has:--} $n" >"$file.new" && mv "$file.new" "$file" || n=$job_life
    [ -z "$file" ] || find "${file%/*}" -maxdepth 1 -name '.restarts.*' -mtime +30 -delete 2>/dev/null
    echo "$n"
}

job_spent() { [ "$1" -gt "${ASVR_BUDGET:-5}" ]; }
job_gives_up() {
    job_say "given up: $1 starts in a row without a new checkpoint (ASVR_BUDGET=${ASVR_BUDGET:-5}); the last ended with $2. The same command goes on from there."
}

# ---- how it ends ----

# JobState and Restarts, as Slurm has them now.  A controller may be away for a minute or two; a node that is cut off gets no answer.
job_state() {
    local said until=$((SECONDS + 120))
    while :; do
        said=$(timeout 60 scontrol show job -o "$job_id" 2>/dev/null | sed -n 's/.* JobState=\([A-Z_]*\) .* Restarts=\([0-9]*\) .*/\1 \2/p' | head -1)
        [ -z "$said" ] && [ $SECONDS -lt $until ] || break
        sleep 2
    done
    echo "$said"
}

# job_means CODE: in words, and whether it is worth another start.
job_means() {
    case $1 in
    0)  echo "done"; return 1 ;;
    64) echo "usage"; return 1 ;;
    65) echo "bad input data"; return 1 ;;
    70) echo "internal error"; return 1 ;;
    74) echo "input or output failed"; return 1 ;;
    75) echo "stopped on request and saved" ;;
    76) echo "stopped, not saved" ;;
    78) echo "configuration"; return 1 ;;
    79) echo "numeric trouble"; return 1 ;;
    80) echo "hang" ;;
    *)  [ "$1" -gt 128 ] && [ "$1" -le 192 ] && echo "killed by SIG$(kill -l "$1" 2>/dev/null)" && return
        echo "the launcher failed" ;;                       # a node died under it, most often
    esac
}

# job_end VERB CODE STARTS BEFORE: back into the queue, or not.
job_end() {
    local verb=$1 code=$2 starts=$3 before=$4 what worth=0 state restarts
    what=$(job_means "$code") || worth=$?
    job_say "asvr $verb ended with $code ($what), restart $job_life, $(date -u +%FT%TZ)"
    [ "$worth" -eq 0 ] || exit "$code"
    read -r state restarts <<<"$(job_state)"
    # Only what Slurm still runs, and in this life: a cancelled job must end, a preempted one Slurm puts back itself, and a
    # life that was cut off must not touch the one that followed it.
    if [ "$state" != RUNNING ] || [ "$restarts" != "$job_life" ]; then
        if [ -n "$restarts" ] && [ "$restarts" -gt "$job_life" ]; then job_say "Slurm has put it back already"
        else job_say "not put back: Slurm calls the job ${state:-unknown} (cancelled, at its time limit, or out of reach)"; fi
        exit "$code"
    fi
    starts=$((starts + 1))
    [ "$(job_progress "$verb")" = "$before" ] || starts=0
    if job_spent "$starts"; then
        job_gives_up "$starts" "$code ($what)"
        exit "$code"
    fi
    job_say "back into the queue"
    timeout 60 scontrol requeue "$job_id" || [ $? -gt 128 ] ||           # it may be ended itself by what it asked for
        job_say "scontrol requeue failed: submit the same command again"
    exit "$code"
}

# ---- the job ----

# A node that died keeps the socket of its PMIx step (Slurm 22.05 names it by job and step), and when it is back the same number
# cannot be launched there: each life has another one.
job_other_step() {
    local i
    for ((i = 0; i < job_life % 8; i++)); do
        srun --mpi=none --nodes=1 --ntasks=1 true || break
    done
}

job_run() {
    local verb=$1 config=${2:-} site=${ASVR_SITE:-$job_home/site.sh} starts before name code own
    shift
    [ -n "$job_id" ] || job_fail 64 "this is a batch script: sbatch $0 CONFIG"
    own=("${ASVR_RANKS_PER_NODE:-}" "${ASVR_THREADS:-}" "${ASVR_BUDGET:-}")
    [[ $site = /* ]] || site=$PWD/$site
    [ -n "${ASVR_SITE:-}" ] || [ -f "$site" ] || site=/etc/asvr/site.sh
    if [ -f "$site" ]; then . "$site"; elif [ -n "${ASVR_SITE:-}" ]; then job_fail 78 "there is no ASVR_SITE=$site"; fi
    ASVR_RANKS_PER_NODE=${own[0]:-${ASVR_RANKS_PER_NODE:-}} ASVR_THREADS=${own[1]:-${ASVR_THREADS:-}} ASVR_BUDGET=${own[2]:-${ASVR_BUDGET:-}}
    for name in ASVR_RANKS_PER_NODE ASVR_THREADS; do
        [[ ${!name:-1} =~ ^[1-9][0-9]{0,5}$ ]] || job_fail 78 "$name=${!name} is no number from 1 on"
    done
    [[ ${ASVR_BUDGET:-5} =~ ^[0-9]{1,9}$ ]] || job_fail 78 "ASVR_BUDGET=$ASVR_BUDGET is no number"
    ASVR=${ASVR:-$(job_program)}
    [ -x "$ASVR" ] || [ -n "${ASVR_WRAP:-}" ] || job_fail 78 "there is no program $ASVR: run make, or set ASVR"
    [ -f "$config" ] || job_fail 78 "there is no configuration \"$config\" in $PWD, where the job was submitted"
    [ "$verb" != train ] || [ -z "${ASVR_SCRATCH:-}" ] || set -- "$config" --set "ckpt.local=$ASVR_SCRATCH" "${@:2}"
    job_config=$(job_ask help config "$@") || exit

    starts=$(job_starts "$verb")
    before=$(job_progress "$verb")
    if job_spent "$starts"; then
        job_gives_up "$starts" "no word"
        exit 76
    fi
    case $verb in
    scaling) job_words=(${ASVR_WRAP:-} "$ASVR" "$verb" "$@") ;;           # it calls srun itself, point by point
    *)       job_layout "$verb" "$@" ;;
    esac
    job_other_step

    [ -z "$job_asked" ] || job_end "$verb" 75 "$starts" "$before"         # before there was anything to save
    "${job_words[@]}" &
    job_step=$!
    while kill -0 "$job_step" 2>/dev/null; do wait "$job_step"; done      # a signal ends a wait, not the step
    wait "$job_step"
    code=$?                                                               # bash still knows
    job_step=
    job_end "$verb" "$code" "$starts" "$before"
}
