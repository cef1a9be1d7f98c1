#!/bin/sh
# launch/scripts/reproduce.sh: the paper's comparisons at small scale, from one common start, and the table of what came out.
#
#   launch/scripts/reproduce.sh                every variant with seeds 1 2 3: about two hours on two cores
#   FAST=1 launch/scripts/reproduce.sh         the paper's variants with one seed and fewer steps: a quarter of an hour
#   SEEDS="1 2" VARIANTS="none semantic" JOBS=4 launch/scripts/reproduce.sh
#
# JOBS runs work side by side, each with one thread (default: as many as there are cores).  What is finished is not
# repeated: a run with an eval.json is done, and one that was cut off goes on where it was.  The table goes to
# RUNS/table.md; docs/REPRODUCTION.md reads it.
set -eu
home=$(cd "$(dirname "$0")/../.." && pwd)
own=$home/../../bin/asvr c=$home/configs/reproduce                      # installed; it writes runs/ where it is called
[ ! -f "$home/Makefile" ] || { cd "$home"; own=build/asvr c=configs/reproduce; }
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
ASVR=${ASVR:-$own} runs=runs/reproduce
CONTRAST=1200 PRETRAIN=1000 INSTRUCT=400 SEEDS=${SEEDS:-1 2 3} samples=
[ -z "${FAST:-}" ] || { CONTRAST=400 PRETRAIN=200 INSTRUCT=70 SEEDS=1 samples="data.samples=8192 data.val_samples=700" runs=runs/reproduce-fast; }
JOBS=${JOBS:-$(nproc)}
export ASVR FAST

# The same folders for both sizes of the experiment.
data="text.model=$runs/text.model data.codes=$runs/tokenizer"
sets_of() {    # captions | questions: a stage's data set
    echo "$data data.set=$runs/$1/index.set"
}

# What a variant changes in a stage.  The order is the table's.  weight-W (another weight of the visual loss) and few-VARIANT
# (1,024 samples instead of 24,576 and 16,384) are there to find out why, by VARIANTS="few-none few-semantic".
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
    few-*)             overrides ${1#few-} $2 ${3:-}; [ $2 = pretrain ] && few=captions || few=questions
                       [ "${3:-}" = eval ] || echo data.set=$runs/few-$few/index.set ;;
    *)                 echo "reproduce: no variant $1" >&2; exit 64 ;;
    esac
}
# The supervision, and what learns: projector, decoder, and the heads that it has.
supervise() { echo "train.supervision=$1 train.trainable=projector,decoder${2:-}"; }

# asvr VERB STAGE [key=value ...]: with the folders of this size of the experiment
asvr() {
    verb=$1 stage=$2
    shift 2
    case $stage in
    contrast)  set -- $(sets_of captions) data.codes= run.dir=$runs/contrast train.steps=$CONTRAST "$@" ;;
    tokenizer) set -- $(sets_of captions) data.codes= run.dir=$runs/tokenizer train.init=$runs/contrast "$@" ;;
    pretrain)  set -- $(sets_of captions) data.codes= train.init=$runs/tokenizer train.steps=$PRETRAIN "$@" ;;
    instruct)  set -- $(sets_of questions) train.steps=$INSTRUCT "$@" ;;
    esac
    for set; do printf -- '--set\n%s\n' "$set"; done | xargs ${RANKS:-} $ASVR $verb $c/$stage.cfg
}

# One run: pretrain, instruct, evaluation; its output goes to runs/reproduce/VARIANT-SEED.log
one() {
    [ ! -e $runs/$1-$2/instruct/eval.json ] || return 0
    mkdir -p $runs
    one="parallel.threads=1 run.seed=$2 run.dir=$runs/$1-$2"
    from="train.init=$runs/$1-$2/pretrain,$runs/tokenizer"     # a pretrain stage without codes has no codebooks
    {
        asvr train pretrain $one/pretrain $(overrides $1 pretrain) &&
            asvr train instruct $one/instruct $from $(overrides $1 instruct) &&
            asvr eval instruct $one/instruct $from $(overrides $1 instruct eval)
    } >$runs/$1-$2.log 2>&1 || { echo "reproduce: $1, seed $2 failed; see $runs/$1-$2.log" >&2; exit 1; }
    printf '%s  %-20s seed %s  %s\n' "$(date +%T)" $1 $2 "$(grep '^mean ' $runs/$1-$2.log | tail -n 1)"
}

if [ "${1:-}" = one ]; then
    one "$2" "$3"
    exit
fi
# The common start, on all cores: captions, towers, codebooks, questions with the codes of their pictures.
once() { [ -e $runs/.$1 ] || { "$@" && touch $runs/.$1; }; }
captions()  { asvr pack contrast $samples; }
towers()    { asvr train contrast; }
codebooks() { asvr train tokenizer && asvr eval tokenizer; }
questions() { asvr pack instruct $samples; }
few()       { for part in captions:contrast questions:instruct; do
                  asvr pack ${part#*:} data.samples=1024 data.val_samples=0 data.set=$runs/few-${part%:*}/index.set
              done; }
mkdir -p $runs
RANKS="mpirun -n $JOBS --oversubscribe"
for part in captions towers codebooks questions; do once $part; done
case ${VARIANTS:-} in *few-*) once few ;; esac
unset RANKS

[ -z "${FAST:-}" ] || variants=$(echo $variants | cut -d' ' -f1-9)
for s in $SEEDS; do
    for v in ${VARIANTS:-$variants}; do printf '%s %s\n' $v $s; done
done | xargs -P "$JOBS" -n 2 "$0" one
for v in ${VARIANTS:-$variants}; do ls $runs/$v-[0-9]*/instruct/eval.json; done | xargs awk -f "$home/launch/scripts/table.awk" >$runs/table.md
cat $runs/table.md
