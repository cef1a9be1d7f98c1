#!/bin/sh
# launch/reproduce.sh: the paper's comparisons at small scale, from one common start, and the table of what came out.
#
#   launch/reproduce.sh                every variant with seeds 1 2 3
#   FAST=1 launch/reproduce.sh         one seed, a third of the steps
#   SEEDS="1 2" VARIANTS="none semantic" JOBS=4 launch/reproduce.sh
#
# JOBS runs work side by side, each with one thread (default: as many as there are cores).  What is finished is not
# repeated: a run with an eval.json is done, and one that was cut off goes on where it was.
set -eu
cd "$(dirname "$0")/.."
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
ASVR=${ASVR:-build/asvr} c=configs/reproduce runs=runs/reproduce
PRETRAIN=1200 INSTRUCT=500 SEEDS=${SEEDS:-1 2 3}
[ -z "${FAST:-}" ] || { PRETRAIN=400 INSTRUCT=170 SEEDS=1 runs=runs/reproduce-fast; }
JOBS=${JOBS:-$(nproc)}
export ASVR c runs PRETRAIN INSTRUCT

# What a variant changes in a stage.  The order is the table's.
variants='none semantic appearance both denoising discrete-none discrete-semantic shift-1 instruct-only share-0.25 tied soft'
overrides() {
    case $1 in
    none)              supervise none ;;
    semantic)          supervise semantic ,head ;;
    appearance)        supervise appearance ,app_head ;;
    both)              supervise both ,head,app_head ;;
    denoising)         supervise denoising ,denoiser ;;
    discrete-none)     supervise none; echo model.vision.input=discrete ;;
    discrete-semantic) supervise semantic ,head; echo model.vision.input=discrete ;;
    shift-1)           supervise semantic ,head; echo train.visual_shift=1 ;;
    instruct-only)     [ $2 = pretrain ] && supervise none || supervise semantic ,head ;;
    share-*)           supervise semantic ,head; echo train.visual_share=${1#share-} ;;
    tied)              supervise semantic ,head; echo model.head.tied=true ;;
    soft)              supervise semantic ,head; echo train.soft_targets=1 ;;
    weight-*)          supervise semantic ,head; echo train.visual_weight=${1#weight-} ;;
    *)                 echo "reproduce: no variant $1" >&2; exit 64 ;;
    esac
}
# The supervision, and what learns: projector, decoder, and the heads that it has.
supervise() { echo "train.supervision=$1 train.trainable=projector,decoder${2:-}"; }

asvr() {    # verb, stage, variant, seed
    dir=$runs/$3-$4 sets=
    case $2 in
    pretrain) sets="train.steps=$PRETRAIN" ;;
    instruct) sets="train.steps=$INSTRUCT train.init=$dir/pretrain" ;;
    esac
    for set in run.seed=$4 run.dir=$dir/$2 parallel.threads=1 $sets $(overrides $3 $2); do printf -- '--set\n%s\n' "$set"; done |
        xargs $ASVR $1 $c/$2.cfg
}

# One run: pretrain, instruct, evaluation; its output goes to runs/reproduce/VARIANT-SEED.log
one() {
    [ ! -e $runs/$1-$2/instruct/eval.json ] || return 0
    mkdir -p $runs
    asvr train pretrain $1 $2 >$runs/$1-$2.log 2>&1 && asvr train instruct $1 $2 >>$runs/$1-$2.log 2>&1 &&
        asvr eval instruct $1 $2 >>$runs/$1-$2.log 2>&1 || { echo "reproduce: $1, seed $2 failed; see $runs/$1-$2.log" >&2; exit 1; }
    printf '%s  %-20s seed %s  %s\n' "$(date +%T)" $1 $2 "$(grep '^mean ' $runs/$1-$2.log | tail -n 1)"
}

if [ "${1:-}" = one ]; then
    one "$2" "$3"
    exit
fi
for s in $SEEDS; do
    for v in ${VARIANTS:-$variants}; do printf '%s %s\n' $v $s; done
done | xargs -P "$JOBS" -n 2 "$0" one
