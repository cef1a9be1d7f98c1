# Samples without a picture, micro-batches and ranks without any: every stage goes on, with the same numbers on any grid; data sets
# that cannot teach a stage are refused at the start.
. "$(dirname "$0")/tools.inc"

small+=(--set train.micro_batch=1 --set data.on_bad=skip)
train() { says "$1" "$2" train "$config" "${small[@]}" "${@:3}"; }
says 0 2 pack "$config" "${small[@]}"
train 0 2 --set run.dir=seen --set train.stage=tokenizer
cp -r shards whole
set -- shards/train-*.h5
[ "$(size $1)" -gt "$(size $2)" ] && rm $1 || rm $2         # two samples of three

# stage NAME ARGS...: on 1, 2 and 4 replicas and on two ranks each
stage() {
    local name=$1
    shift
    for n in 1 2 4; do train 0 $n --set run.dir=$name.$n "$@"; done
    [ "$(grep -c 'is skipped: ' err)" -gt 24 ] || fail "$name: not most of 48 samples were skipped: $(grep -c 'is skipped: ' err)"
    ! grep -q 'loss[a-z_]*": null' $name.4/run.jsonl || fail "$name: a loss is not finite"
    [ "$(column loss_hex $name.4 | cut -d' ' -f2 | sort -u | wc -l)" = 6 ] || fail "$name: the loss does not move"
    for n in 2 4; do same_losses $name.1 $name.$n; done
    train 0 2 --set run.dir=$name.tp --set parallel.tp=2 "$@"
    paste -d' ' <(column loss $name.1) <(column loss $name.tp) |
        awk '{ d = $2 - $4; if (d * d > 1e-8 * $2 * $2 || NF != 4) { print; exit 1 } }' || fail "$name: tensor-parallel ranks have other losses"
}
stage contrast --set train.stage=contrast --set train.micro_batch=2
stage alone --set train.stage=contrast                    # one sequence a micro-batch: most have no pair at all
stage tokenizer --set train.stage=tokenizer
stage own --set train.stage=tokenizer --set model.codes.tower=own --set train.init=contrast.1 --set train.lr=5e-4
stage instruct --set train.stage=instruct --set train.init=seen
says 0 2 eval "$config" "${small[@]}" --set train.stage=contrast --set run.dir=contrast.1

# ---- data without a picture, and with several in a sample ----
sample() { printf '{"id": %d, %s"conversations": [{"from": "human", "value": "%s"}, {"from": "gpt", "value": "it is blue ."}]}%s' "$@"; }
{ printf '['; for n in $(seq 15); do sample $n '' 'what colour is the sky?' ,; done; sample 16 '' 'and the sea?' ']'; } >text.json
printf 'P6 1 1 255\n\1\2\3' >dot.ppm
{ printf '['; for n in $(seq 15); do sample $n '"image": ["dot.ppm", "dot.ppm"], ' '<image><image> what colour?' ,; done
  sample 16 '"image": "dot.ppm", ' '<image> and this?' ']'; } >two.json
own=("${small[@]}" --set data.source=llava --set data.images=. --set data.val_samples=1)
for set in text two; do says 0 0 pack "$config" "${own[@]}" --set data.json=$set.json --set data.set=$set/index.set; done
for stage in contrast tokenizer; do
    train 65 2 --set run.dir=no --set data.set=text/index.set --set train.stage=$stage
    blames 'learns from pictures, and the data set has none' "stage $stage" data.set
done
# contrast: of several pictures the first, whatever the others are
dots=0
for c in '\310\20\130' '\20\310\130'; do printf "P6 1 1 255\n$c" >dot$((++dots)).ppm; done
for set in 'first "dot.ppm", "dot1.ppm"' 'other "dot.ppm", "dot2.ppm"' 'turned "dot1.ppm", "dot.ppm"'; do
    read -r set list <<<"$set"
    sed "s/\"dot.ppm\", \"dot.ppm\"/$list/g" two.json >$set.json
    says 0 0 pack "$config" "${own[@]}" --set data.json=$set.json --set data.set=$set/index.set
    train 0 2 --set run.dir=$set.run --set data.set=$set/index.set --set train.stage=contrast --set train.micro_batch=2
done
same_losses first.run other.run
! (same_losses first.run turned.run) >/dev/null || fail "contrast does not see the first picture"
says 0 2 eval "$config" "${small[@]}" --set run.dir=first.run --set data.set=first/index.set --set train.stage=contrast
train 0 2 --set run.dir=text.run --set data.set=text/index.set --set train.init=seen
