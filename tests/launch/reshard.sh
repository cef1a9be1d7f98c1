# A checkpoint of any grid is taken up on any other: the fingerprint is compared when it is loaded, moments come along.
. "$(dirname "$0")/tools.inc"

small+=(--set train.micro_batch=2 --set train.steps=8 --set ckpt.every=4 --set ckpt.keep=9)
says 0 1 pack "$config" "${small[@]}"

for optimizer in adamw muon; do
    set -- "$config" "${small[@]}" --set train.optimizer=$optimizer
    from=$optimizer.22
    says 0 4 train "$@" --set run.dir=$from --set parallel.tp=2 --set parallel.zero=1
    "$ASVR" verify $from/ckpt/step-00000004 | cut -d' ' -f2 >want

    # RANKS TP ZERO: the same checkpoint, the last four steps again
    for grid in "0 1 0" "4 4 0" "4 4 1" "4 1 1" "2 2 0" "2 2 1" "4 2 0"; do
        read -r ranks tp zero <<<"$grid"
        run=$optimizer.to.$ranks.$tp.$zero
        mkdir -p $run/ckpt
        cp -r $from/ckpt/step-00000004 $run/ckpt/
        cp $from/config.cfg $run/
        says 0 $ranks train "$@" --set run.dir=$run --set parallel.tp=$tp --set parallel.zero=$zero
        grep -q "^resumes from $run/ckpt/step-00000004" out || { cat out; fail "$run does not resume"; }
        column loss $from | tail -n 4 >a
        column loss $run >b
        paste -d' ' a b | awk '{ d = ($2 - $4) / $2; if ($1 != $3 || d > 1e-5 || -d > 1e-5) bad = 1 } END { exit bad || NR != 4 }' ||
            { paste a b; fail "$from goes on otherwise on $grid"; }
        [ $tp != 2 ] || diff <(column loss_hex $from | tail -n 4) <(column loss_hex $run) || fail "$run: tp is the same, the bits are not"
        [ $tp != 2 ] || diff <("$ASVR" verify $from/ckpt/step-00000008 | cut -d' ' -f2) <("$ASVR" verify $run/ckpt/step-00000008 | cut -d' ' -f2) ||
            fail "$run: the weights differ"
    done
    # Without a step in between nothing has changed: what another grid writes is the same file, moments and all.
    for grid in "4 4 1" "0 1 0"; do
        read -r ranks tp zero <<<"$grid"
        says 0 $ranks train "$@" --set run.dir=$optimizer.to.4.2.0 --set parallel.tp=$tp --set parallel.zero=$zero
        grep -q 'all 8 steps are done already' out || { cat out; fail "it did not load"; }
    done
done
