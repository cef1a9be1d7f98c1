# Exports of small trained models, opened by the newest transformers and by one of the 4.4x line: the same pixel values, ids, logits, tokens
# and answers.  What a line of `export` says: NAME, its keys; which transformers (all, new).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
config=$here/../../configs/tiny.cfg
cd "$TMP"
. "$here/pictures.inc"
# A byte-level text model as SmolLM2 has one, small.
"$NEW" - "$here/../../docs" <<'PY'
import glob
import sys
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast
t = Tokenizer(models.BPE())
t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                           pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
t.decoder = decoders.ByteLevel()
t.train(sorted(glob.glob(sys.argv[1] + "/*.md")), trainers.BpeTrainer(
    vocab_size=700, special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
PreTrainedTokenizerFast(tokenizer_object=t, bos_token="<|im_start|>", eos_token="<|im_end|>", unk_token="<|endoftext|>").save_pretrained("bytes.model")
PY
cp -r bytes.model bytes2.model
question="How many things are there, and where?"
bad=0
# export NAME WHICH CONTEXT KEYS...: CONTEXT names the data set and the text model that runs of one template share
export_() {
    local name=$1 which=$2 context=$3 keys=() sets set
    shift 3
    sets=("text.model=$context.model" "data.set=$context/index.set" data.samples=96 data.val_samples=14 data.shard_samples=96 \
          parallel.bind=none parallel.threads=1 "run.dir=$name" ckpt.every=0 train.steps=12 "$@")
    for set in "${sets[@]}"; do keys+=(--set "$set"); done
    { [ -e "$context/index.set" ] || "$ASVR" pack "$config" "${keys[@]}" && "$ASVR" train "$config" "${keys[@]}" &&
      "$ASVR" export "$config" "${keys[@]}" --set export.from="$name" --set export.to="$name-hf"
    } >said 2>&1 || { echo "FAIL $name: no export"; tail -n 20 said; bad=1; return 0; }
    "$ANSWERS" "$name-ours" "$config" "$question" pictures 32 "${sets[@]}" >said 2>&1 || { echo "FAIL $name: asvr's own answers"; bad=1; return 0; }
    while read -r picture; do
        "$ASVR" chat "$config" "${keys[@]}" --set chat.image="$picture" --set chat.question="$question" --set chat.max_new=32 2>/dev/null |
            sed -z 's/\n$//; s/\n/\\n/g'; echo
    done <pictures >"$name-chat"
    for python in "$NEW" $([ $which = new ] || echo "$OLD"); do
        "$python" "$here/export_peer.py" "$name" "$name-hf" "$name-ours" "$question" pictures "$name-chat" 2>trouble || {
            bad=1; tail -n 4 trouble; }
    done
}

export_ "llama, v1"            all v1
export_ "a row for <image>"    all v1      model.decoder.vocab=800
export_ "stretched pictures"   all stretch data.fit=stretch
export_ "qwen2, chatml"        all chatml  data.template=chatml model.decoder.qkv_bias=true model.decoder.kv_heads=2
export_ "llama 3, tied"        all v1      model.decoder.tied=true model.decoder.head_dim=32 model.decoder.rope_scaling=llama3 \
        model.decoder.rope_factor=8 model.decoder.rope_original_max_len=64 model.decoder.rope_theta=500000
export_ "linear rope, last block unused" all llama2 data.template=llama2 model.decoder.rope_scaling=linear model.decoder.rope_factor=2 \
        model.vision.select_layer=-2 model.codes.layer=-2
export_ "bytes, smollm2"       all bytes   data.template=smollm2 model.decoder.kv_heads=2 model.decoder.tied=true
export_ "bytes, no row free"   new bytes2  data.template=chatml model.decoder.vocab=700
export_ "CLIP tower"           all stretch data.fit=stretch model.vision.kind=clip model.vision.select_layer=-2 model.codes.layer=-2
export_ "qwen3"                new mistral data.template=mistral model.decoder.qk_norm=true
exit $bad
