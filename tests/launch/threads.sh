# Ranks and threads change no bit: 1 x 1, 1 x 2, 2 x 1, 2 x 2 and 4 x 1 (ranks x threads) are one run, in every stage, for AdamW
# and for Muon.  And how many threads a rank has, if nobody says.
. "$(dirname "$0")/tools.inc"

fingerprint() { "$ASVR" verify "$1/ckpt/step-$(printf %08d "$2")" | cut -d' ' -f2; }
# grids NAME STEPS "GRID..." KEY=VALUE...: 1x1, and others like it
grids() {
    local name=$1 steps=$2 others=$3 first sets=("$config" "${small[@]}" --set train.micro_batch=2 --set train.steps="$2")
    shift 3
    for set; do sets+=(--set "$set"); done
    for grid in 1x1 $others; do
        says 0 ${grid%x*} train "${sets[@]}" --set run.dir=$name.$grid --set parallel.threads=${grid#*x}
        same_losses $name.1x1 $name.$grid
        [ $grid != 1x1 ] || first=$(fingerprint $name.1x1 $steps)
        [ "$first" = "$(fingerprint $name.$grid $steps)" ] || fail "the weights of $name.1x1 and $name.$grid differ"
        [ "$(column threads $name.$grid | cut -d' ' -f2 | uniq)" = ${grid#*x} ] || fail "$grid: run.jsonl has other threads"
    done
    [ "$(column loss_hex $name.1x1 | cut -d' ' -f2 | sort -u | wc -l)" = $steps ] || fail "$name: the loss does not move"
}

says 0 0 pack "$config" "${small[@]}"
for optimizer in adamw muon; do
    # Steps enough for a single bit to show: where products were left to OpenBLAS' threads, the first loss had others.
    for stage in contrast tokenizer pretrain; do grids $stage.$optimizer 6 "1x2 2x1 2x2 4x1" train.stage=$stage train.optimizer=$optimizer; done
    # That 2x1 and 4x1 are 1x1 in this very run is replicas.sh's to show.
    grids instruct.$optimizer 50 "1x2 2x2" train.optimizer=$optimizer train.lr=4e-3
done

# ---- who says how many ----
threads() {                                     # RANKS WANT ARGS...: of a run of one step
    local ranks=$1 want=$2
    rm -rf one
    says 0 "$ranks" train "$config" "${small[@]}" --set run.dir=one --set train.steps=1 "${@:3}"
    [ "$(column threads one)" = "1 $want" ] || fail "$ranks ranks have $(column threads one | cut -d' ' -f2) threads each, not $want"
    grep -q " of $want thread" out || { cat out; fail "the first line does not say $want threads"; }
}
export OMP_NUM_THREADS=3
threads 1 3 --set parallel.threads=0
threads 1 2 --set parallel.threads=2            # the key wins
unset OMP_NUM_THREADS
SLURM_CPUS_PER_TASK=1 threads 1 1 --set parallel.threads=0
cores=$(cores | wc -l)                          # of this script's mask
threads 1 "$cores" --set parallel.threads=0
threads 2 $((cores > 1 ? cores / 2 : 1)) --set parallel.threads=0
mine=$(taskset -pc $$ | sed 's/.*: //; s/[,-].*//')
taskset -pc "$mine" $$ >taskset
threads 1 1 --set parallel.threads=0
