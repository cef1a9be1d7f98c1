#!/bin/sh
# launch/scripts/demo.sh: from pictures and captions to a vision-language model that answers questions, on two ranks.
# Each stage goes on where an earlier start of this script left it.  RANKS=n takes another number of ranks.
# Installed (PREFIX/share/asvr/launch/scripts), it writes runs/ in the folder in which it is called.
set -eu
home=$(cd "$(dirname "$0")/../.." && pwd)
asvr=$home/../../bin/asvr c=$home/configs/scenes
[ ! -f "$home/Makefile" ] || { cd "$home"; asvr=build/asvr c=configs/scenes; }
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
ranks="mpirun -n ${RANKS:-2} --oversubscribe"
begin=$(date +%s)
stage() { printf '\n== %s  (%d s)\n' "$1" "$(($(date +%s) - begin))"; }
# A pack that was finished is not repeated.
pack() { [ -e "$2" ] || { $ranks $asvr pack "$1" && touch "$2"; }; }

runs=runs/scenes
mkdir -p $runs
stage "captions: photo cut-outs become scenes"
pack $c/contrast.cfg $runs/.captions
stage "contrast: two towers learn which caption belongs to which picture"
$ranks $asvr train $c/contrast.cfg
stage "tokenizer: codebooks for what the tower sees"
$ranks $asvr train $c/tokenizer.cfg
stage "questions: the same kind of scenes with 14 tasks, and the codes of every picture"
pack $c/instruct.cfg $runs/.questions
stage "pretrain: captions and visual codes"
$ranks $asvr train $c/pretrain.cfg
stage "instruct: questions, answers and visual codes"
$ranks $asvr train $c/instruct.cfg
stage "evaluation on scenes never seen"
$ranks $asvr eval $c/instruct.cfg
printf '\nAsk it yourself:\n  %s chat %s/instruct.cfg --set chat.image=PICTURE.png --set chat.question="what is at the top left?"\n' $asvr $c
stage "done"
