#!/bin/bash
# A real Slurm cluster on one machine: each node is a network, mount, host-name and process-number space of its own.
#
#     cluster.sh up [NODES [CPUS]]          starts it (4 nodes of 2 CPUs); does nothing where it is up already
#     cluster.sh down                       ends it and removes its folder; does nothing where there is none
#     cluster.sh run COMMAND...             runs sbatch, squeue, ... where the controller is
#     cluster.sh node N COMMAND...          runs something on a node
#     cluster.sh node-down N | node-up N    all of a node's processes are killed at once, as by a power cut | it boots again
#     cluster.sh link N cut | heal | slow RATE       its network cable: pulled | put back (also after slow) | "2mbit"
#
# CLUSTER is its folder (build/cluster); NET (10.77.0) the first three bytes of its addresses.  All of it hangs on one process a
# node, and with that process the kernel takes down what it holds: bridge, cables, mounts, daemons, jobs.  Nothing is written
# outside the folder.  Needs root, slurmctld, slurmd, munged, util-linux, iproute2.
#
# KILL_WAIT (10), GRACE (10), NODE_TIMEOUT (9), EXPIRE (5) are seconds: KillWait, the low partition's GraceTime,
# SlurmdTimeout, and how long a requeued job waits; TASK (task/affinity) is TaskPlugin, with task/none Slurm binds nothing.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin
here=$PWD
cd "$(dirname "$0")/../.."
W=${CLUSTER:-$PWD/build/cluster} NET=${NET:-10.77.0}
[[ $W = /* ]] || W=$PWD/$W
export SLURM_CONF=$W/slurm.conf

usage() { sed -n '4,10s/^#     //p' "$0" >&2; exit 64; }
fail() { echo "cluster.sh: $*" >&2; exit 1; }
[ $# -gt 0 ] || usage

# ---- one space a machine ----

# Its first process, as this side numbers it; fails where it is dead.
first() {
    local pid born
    [ -f "$W/$1.pid" ] && read -r pid born <"$W/$1.pid" && [ "$(since "$pid")" = "$born" ] && echo "$pid"
}
since() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }          # told apart from a number that was given again
enter() { local m=$1; shift; nsenter -t "$(first "$m")" -n -m -u -p --wdns="$here" "$@"; }
quietly() { "$@" >>"$W/log/cluster.log" 2>&1; }

# machine NAME ADDRESS: makes the space; its first process waits for children, so that none is left a zombie.
machine() {
    mkdir -p "$W/$1/tmp"
    setsid unshare -f -p -n -m -u --kill-child --mount-proc bash -c '
        hostname "$1"; mount --bind "$2/hosts" /etc/hosts; mount --bind "$2/$1/tmp" /var/tmp
        mount -t tmpfs tmpfs /dev/shm; ip link set lo up; : >"$2/$1/ready"
        trap "" HUP INT; while :; do sleep 1000 & wait $!; done' machine "$1" "$W" </dev/null >/dev/null 2>>"$W/log/cluster.log" &
    local outer=$! inner i
    for ((i = 0; i < 100; i++)); do
        [ ! -f "$W/$1/ready" ] || break
        sleep 0.05
    done
    [ -f "$W/$1/ready" ] || fail "$1 does not start"
    rm "$W/$1/ready"
    inner=$(cat "/proc/$outer/task/$outer/children")
    echo "${inner% } $(since "${inner% }")" >"$W/$1.pid"
}

# No process of it is left when this returns.
machine_end() {
    local pid
    if pid=$(first "$1"); then
        kill -9 "$pid"
        while [ "$(since "$pid")" ] && [ "$(sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null | cut -c1)" != Z ]; do sleep 0.05; done
    fi
    rm -f "$W/$1.pid"
}

# ---- the cluster ----

nodes() { seq "$(cat "$W/nodes")"; }
numbered() { [[ $1 =~ ^[0-9]+$ ]] && ((10#$1 >= 1 && 10#$1 <= $(cat "$W/nodes"))) || fail "there is no node $1; 1 to $(cat "$W/nodes")"; }

configuration() {
    local n=$1 cpus=$2 i
    { echo "127.0.0.1 localhost"; echo "$NET.1 ctl"; for ((i = 1; i <= n; i++)); do echo "$NET.$((10 + i)) n$i"; done; } >"$W/hosts"
    cat >"$SLURM_CONF" <<C
ClusterName=asvr
SlurmctldHost=ctl($NET.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$W/munge/socket,cred_expire=${EXPIRE:-5}
StateSaveLocation=$W/state
SlurmdSpoolDir=$W/spool/%n
SlurmctldPidFile=$W/slurmctld.pid
SlurmdPidFile=$W/slurmd-%n.pid
SlurmctldLogFile=$W/log/slurmctld.log
SlurmdLogFile=$W/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=${TASK:-task/affinity}
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
MpiDefault=pmix
ReturnToService=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmdTimeout=${NODE_TIMEOUT:-9}
KillWait=${KILL_WAIT:-10}
SchedulerParameters=sched_interval=2,bf_interval=2
$(for ((i = 1; i <= n; i++)); do echo "NodeName=n$i NodeHostname=n$i NodeAddr=$NET.$((10 + i)) CPUs=$cpus RealMemory=4000 State=UNKNOWN"; done)
PartitionName=low Nodes=n[1-$n] Default=YES PriorityTier=1 PreemptMode=REQUEUE GraceTime=${GRACE:-10} State=UP
PartitionName=now Nodes=n[1-$n] PriorityTier=1 PreemptMode=REQUEUE GraceTime=0 State=UP
PartitionName=high Nodes=n[1-$n] PriorityTier=10 PreemptMode=OFF State=UP
C
    echo "PMIxCliTmpDirBase=/dev/shm" >"$W/mpi.conf"
}

node_start() {
    local ctl pid
    ctl=$(first ctl)
    machine "n$1"
    pid=$(first "n$1")
    nsenter -t "$ctl" -n ip link add "v$1" type veth peer name eth0 netns "$pid"
    nsenter -t "$ctl" -n ip link set "v$1" master bridge up
    nsenter -t "$pid" -n ip addr add "$NET.$((10 + $1))/24" dev eth0
    nsenter -t "$pid" -n ip link set eth0 up
    mkdir -p "$W/spool/n$1"
    quietly env TMPDIR=/var/tmp nsenter -t "$pid" -n -m -u -p slurmd -f "$SLURM_CONF" -N "n$1"
}

controller_start() {
    machine ctl
    quietly enter ctl sh -c "ip link add bridge type bridge && ip addr add $NET.1/24 dev bridge && ip link set bridge up"
    mkdir -p "$W/munge"
    (umask 077 && head -c 1024 /dev/urandom >"$W/munge/key")
    quietly enter ctl munged --force --socket="$W/munge/socket" --key-file="$W/munge/key" --pid-file="$W/munge/pid" \
        --log-file="$W/munge/log" --seed-file="$W/munge/seed"
    quietly enter ctl slurmctld -f "$SLURM_CONF"
}

# until_idle COUNT: so many nodes wait for work.
until_idle() {
    local i
    for ((i = 0; i < 300; i++)); do
        [ "$(enter ctl sinfo -h -p high -t idle -o %D 2>/dev/null | awk '{n += $1} END {print n + 0}')" -lt "$1" ] || return 0
        sleep 0.1
    done
    fail "not all nodes are idle: $(enter ctl sinfo -h -N -p high -o '%N %T %E' 2>&1 | tr '\n' ';')"
}

up() {
    local n=${1:-4} cpus=${2:-2} tool i
    [[ $n =~ ^[1-9][0-9]?$ && $cpus =~ ^[1-9][0-9]*$ ]] || fail "up [NODES [CPUS]]: 1 to 99 nodes of at least 1 CPU, not \"$n\" \"$cpus\""
    [ "$(id -u)" = 0 ] || fail "root is needed: it makes name spaces"
    for tool in slurmctld slurmd munged unshare nsenter ip tc; do command -v $tool >/dev/null || fail "$tool is not installed"; done
    if first ctl >/dev/null; then echo "up already: $W"; return; fi
    [ -f "$W/nodes" ] || [ -z "$(ls -A "$W" 2>/dev/null)" ] || fail "$W has something else in it: CLUSTER names the cluster's own folder"
    down
    mkdir -p "$W"/{state,spool,log}
    echo "$n" >"$W/nodes"
    trap 'tail -n 5 "$W"/log/*.log >&2; down' EXIT
    configuration "$n" "$cpus"
    controller_start
    for ((i = 1; i <= n; i++)); do node_start "$i"; done
    until_idle "$n"
    trap - EXIT
    echo "up: $n nodes of $cpus CPUs in $W"
}

down() {
    local f
    [ -d "$W" ] || return 0
    [ -f "$W/nodes" ] || fail "$W is not a cluster's folder"
    for f in "$W"/*.pid; do
        case $f in */ctl.pid | */n[0-9]*.pid) f=${f##*/}; machine_end "${f%.pid}" ;; esac
    done
    rm -rf "$W"
}

link() {
    local ctl
    ctl=$(first ctl)
    case ${2:-} in
    cut)  nsenter -t "$ctl" -n ip link set "v$1" down ;;
    heal) nsenter -t "$ctl" -n ip link set "v$1" up
          nsenter -t "$ctl" -n tc qdisc del dev "v$1" root 2>/dev/null || true
          nsenter -t "$(first "n$1")" -n tc qdisc del dev eth0 root 2>/dev/null || true ;;
    slow) [[ ${3:-} =~ ^[0-9]+[kmg]bit$ ]] || fail "link N slow RATE: 500kbit, 2mbit, not \"${3:-}\""
          nsenter -t "$ctl" -n tc qdisc replace dev "v$1" root tbf rate "$3" burst 64kb latency 400ms
          nsenter -t "$(first "n$1")" -n tc qdisc replace dev eth0 root tbf rate "$3" burst 64kb latency 400ms ;;
    *)    usage ;;
    esac
}

case $1 in
up) shift; [ $# -le 2 ] || usage; up "$@"; exit ;;
down) [ $# = 1 ] || usage; down; exit ;;
run | node | node-down | node-up | link) ;;
*) usage ;;
esac
first ctl >/dev/null || fail "no cluster is up in $W"
case $1 in
run) shift; [ $# -gt 0 ] || usage; enter ctl "$@" ;;
node) [ $# -ge 3 ] || usage; numbered "$2"; n=$2; shift 2; first "n$n" >/dev/null || fail "node $n is down"; enter "n$n" "$@" ;;
node-down) [ $# = 2 ] || usage; numbered "$2"; machine_end "n$2" ;;
node-up) [ $# = 2 ] || usage; numbered "$2"; first "n$2" >/dev/null || node_start "$2" ;;
link) [ $# -ge 3 ] || usage; numbered "$2"; first "n$2" >/dev/null || fail "node $2 is down"; shift; link "$@" ;;
esac
