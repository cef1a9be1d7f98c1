# A whole life: pack, train, eval, chat, verify; and the files they leave are what docs/FORMATS.md says.
. "$(dirname "$0")/tools.inc"
unset OMPI_MCA_ess_singleton_isolated

says 0 2 pack "$config" "${small[@]}"
grep -q '^training .* 48 samples, 48 pictures' out && grep -q '^held out .* 14 samples' out || { cat out; fail "pack does not say what it packed"; }
ls shards | sed 's/-[0-9a-f]\{16\}//' | tr '\n' ' ' | grep -qx 'index.set train-00000.h5 train-00001.h5 val-00000.h5 ' || fail "shards: $(ls shards)"

# What is packed does not depend on the number of ranks; a shorter pack removes what a longer one left.
says 0 0 verify shards/train-00001-*.h5
grep -qE '^ok [0-9a-f]{16} shards/train-00001-[0-9a-f]{16}.h5$' out || fail "verify said: $(cat out)"
says 0 2 verify shards/index.set
grep -qE '^ok [0-9a-f]{16} shards/index.set$' out || fail "verify said: $(cat out)"
cp -r shards two_ranks
touch shards/train-notes.h5
says 0 0 pack "$config" "${small[@]}"
rm shards/train-notes.h5
diff -r shards two_ranks || fail "one rank packs other bytes than two"
touch shards/train-notes.h5
says 0 0 pack "$config" "${small[@]}" --set data.samples=32
[ ! -e shards/train-00001-*.h5 ] || fail "a shard of an earlier pack was left"
[ -e shards/train-notes.h5 ] || fail "pack removed a file that it never wrote"
rm shards/train-notes.h5

# ---- train ----
small+=(--set run.dir=run --set train.steps=12 --set ckpt.every=5 --set data.samples=32)
says 0 2 train "$config" "${small[@]}"
[ ! -s err ] || { cat err; fail "train complained"; }
grep -q '^done: ' out && ! grep -q "$(printf '\r')" out || { cat -v out; fail "what train says in a pipe is not plain lines"; }
keys="step time samples tokens loss loss_text loss_visual loss_visual_depth loss_hex grad_norm lr skipped tokens_per_s samples_per_s
      flops_share t_step t_data t_forward t_backward t_reduce t_optim t_ckpt rss_mb straggler restart world dp tp threads
      code_usage code_perplexity code_restarts hash"
[ "$(wc -l <run/run.jsonl)" = 12 ] || fail "run.jsonl has $(wc -l <run/run.jsonl) lines, not 12"
for key in $keys; do
    [ "$(grep -c "[{ ]\"$key\": " run/run.jsonl)" = 12 ] || fail "not every line of run.jsonl has $key"
done
[ "$(head -1 run/run.jsonl | grep -oE '"[a-z_]+": ' | wc -l)" = "$(echo $keys | wc -w)" ] || fail "run.jsonl has unknown keys"
column loss run | awk 'NR == 1 { first = $2 } { last = $2 } END { exit !(last < 0.9 * first) }' || fail "the loss does not fall"
column t_ckpt run | awk '$1 == 6 { exit !($2 > 0) }' || fail "the time of the checkpoint of step 5 is not logged"
[ "$(echo $(ls run/ckpt))" = "latest step-00000010 step-00000012" ] || fail "checkpoints: $(ls run/ckpt)"
says 0 0 help config run/config.cfg

# A run that is done is left alone.
cp run/run.jsonl before
says 0 1 train "$config" "${small[@]}"
cmp before run/run.jsonl
says 0 0 verify run/ckpt/step-00000012
grep -qE '^ok [0-9a-f]{16} run/ckpt/step-00000012$' out || fail "verify said: $(cat out)"

# ---- eval, on one and on two ranks ----
says 0 2 eval "$config" "${small[@]}"
cp run/eval.json two.json
says 0 0 eval "$config" "${small[@]}"
grep -q '^mean ' out && grep -q '^count  *[0-9.]* %' out || { cat out; fail "eval shows no table"; }
number='-?[0-9]+(\.[0-9]+)?'
one=$(tr -d '\n' <run/eval.json)
echo "$one" | grep -qE "^\{\"step\": 12, \"loss_text\": $number, \"loss_visual\": $number, \"mean\": $number, \"tasks\": \{.*\}\}\$" ||
    { cat run/eval.json; fail "eval.json has another shape"; }
tasks=$(echo "$one" | grep -oE "\"[a-z-]+\": \{\"accuracy\": (0\.[0-9]+|1\.0+), \"baseline\": (0\.[0-9]+|1\.0+), \"n\": [0-9]+\}" | wc -l)
[ "$tasks" = "$(grep -c accuracy run/eval.json)" ] && [ "$tasks" -gt 5 ] || { cat run/eval.json; fail "a task of eval.json has another shape"; }
diff <(grep accuracy run/eval.json) <(grep accuracy two.json) || fail "accuracies depend on the number of ranks"
if command -v python3 >/dev/null; then
    python3 -m json.tool run/eval.json >/dev/null
    while read -r line; do echo "$line" | python3 -m json.tool >/dev/null; done < <(sed -n '1p;$p' run/run.jsonl)
fi

# ---- chat: one question, or those of standard input ----
says 0 0 chat "$config" "${small[@]}" --set chat.image=run/eval.png --set chat.question="how many things are there?" --set chat.max_new=8
[ "$(wc -l <out)" -ge 1 ] && [ ! -s err ] || { cat err; fail "chat said nothing"; }
printf 'what is it?\nand now?\n' | "$ASVR" chat "$config" "${small[@]}" --set chat.image=run/eval.png --set chat.max_new=4 >out
[ "$(wc -l <out)" -ge 2 ] || fail "chat did not answer two lines"

# ---- without checkpoint, eval says so ----
says 74 0 eval "$config" "${small[@]}" --set run.dir=nothing
blames "there is no such folder" nothing
