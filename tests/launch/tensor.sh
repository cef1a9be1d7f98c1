# Tensor parallelism: one rank, a replica on 2 and on 4 ranks, and two replicas of 2 train alike, in every stage and with every
# supervision, where sums go by ranks (with blocks they are equal: launch/blocks); with 2 ranks a replica, replicas and ZeRO change no bit.
. "$(dirname "$0")/tools.inc"

small+=(--set train.steps=50 --set train.micro_batch=4 --set model.vision.layers=3 --set model.codes.appearance_layer=-3
        --set model.text.width=32 --set model.text.layers=1 --set model.text.heads=4 --set model.text.ffn=64 --set model.text.max_len=24
        --set model.vision.width=32 --set model.vision.ffn=64 --set model.decoder.width=32 --set model.decoder.ffn=64
        --set model.head.width=32 --set parallel.blocks=0)

# Inside a product tp changes the order of additions: 1e-5 over 50 steps is what is promised.
near() {                                        # A B
    paste -d' ' <(column loss $1) <(column loss $2) | awk '
        { d = ($2 - $4) / $2; if (d < 0) d = -d; if ($1 != $3 || d > 1e-5) bad = bad " " $1 ":" d }
        END { if (bad || NR != 50) { print "of " NR " steps:" bad; exit 1 } }' || fail "the losses of $1 and $2 differ"
}
grids() {                                       # NAME KEY=VALUE...
    local name=$1 sets=("$config" "${small[@]}")
    shift
    for set; do sets+=(--set "$set"); done
    says 0 0 train "${sets[@]}" --set run.dir=$name
    for tp in 2 4; do
        says 0 $tp train "${sets[@]}" --set run.dir=$name.$tp --set parallel.tp=$tp
        near $name $name.$tp
    done
    says 0 4 train "${sets[@]}" --set run.dir=$name.22 --set parallel.tp=2 --set parallel.zero=1
    near $name $name.22
    same_losses $name.2 $name.22
    [ "$("$ASVR" verify $name.2/ckpt/step-00000050 | cut -d' ' -f2)" = "$("$ASVR" verify $name.22/ckpt/step-00000050 | cut -d' ' -f2)" ] ||
        fail "the weights of $name.2 and $name.22 differ"
    [ "$(column loss_hex $name | cut -d' ' -f2 | sort -u | wc -l)" = 50 ] || fail "$name: the loss does not move"
}

says 0 2 pack "$config" "${small[@]}" --set data.template=plain
# At a rate of 2e-3 this stage itself makes more of a difference, up to 4e-5 in 50 steps.
grids contrast train.stage=contrast train.lr=5e-4
grids tokenizer train.stage=tokenizer train.init=contrast
grids own train.stage=tokenizer train.init=contrast model.codes.tower=own model.codes.layer=-2 train.lr=5e-4
says 0 2 pack "$config" "${small[@]}" --set data.codes=tokenizer
grids pretrain train.stage=pretrain train.init=tokenizer
for how in none semantic appearance both denoising; do
    grids $how train.init=tokenizer train.supervision=$how
done
grids discrete train.init=tokenizer model.vision.input=discrete
grids tied train.init=tokenizer model.head.tied=true train.soft_targets=0.5
grids muon train.init=tokenizer train.optimizer=muon
grids shared_kv train.init=tokenizer model.decoder.kv_heads=2 train.supervision=none     # 4 ranks, 2 kv heads

says 0 4 eval "$config" "${small[@]}" --set run.dir=semantic --set parallel.tp=2
cp semantic/eval.json whole.json
says 0 0 eval "$config" "${small[@]}" --set run.dir=semantic
numbers() { grep -oE '[0-9]+\.[0-9]{3}' $1; }
diff <(numbers whole.json) <(numbers semantic/eval.json) || fail "an evaluation depends on the grid"

# ---- what does not divide is refused, with the sizes that would ----
says 78 3 train "$config" "${small[@]}" --set run.dir=no --set parallel.tp=2
blames 'parallel.tp = 2 does not divide the 3 ranks of this job; 1, 3 would'
says 78 3 train "$config" "${small[@]}" --set run.dir=no --set parallel.tp=3
blames 'parallel.tp = 3' '1, 2 and 4'
[ ! -e no ] || fail "a refused run left something behind"
