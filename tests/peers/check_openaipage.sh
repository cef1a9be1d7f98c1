# The page of `asvr serve` in a real browser: a question about a picture is asked and answered in it, nothing is complained about or fetched elsewhere, in light,
# dark and on a phone.  The pictures stay in build/peers-serve for who wants to look.
set -u
chromium=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome)}
[ -n "$chromium" ] || { echo "skip openai page: there is no Chromium (apt-get install chromium)"; exit 0; }
config=$PWD/configs/tiny.cfg pictures=$PWD/build/peers-serve driver=$PWD/tests/peers/pagedrive.py
mkdir -p "$pictures"
cd "$TMP" || exit 1
set -- --set text.model=text.model --set data.set=shards/index.set --set data.samples=48 --set data.val_samples=14 --set train.global_batch=8 --set train.steps=40 --set ckpt.every=0 \
    --set run.dir=tiny --set chat.temperature=1 --set serve.port=0 --set serve.max_tokens=60
"$ASVR" pack "$config" "$@" >said 2>&1 && "$ASVR" train "$config" "$@" >said 2>&1 || { cat said; exit 1; }
"$ASVR" serve "$config" "$@" >served 2>&1 &
server=$!
trap 'kill $server 2>/dev/null; wait $server' EXIT
for _ in $(seq 200); do url=$(sed -n 's/^serving .*: \(http.*\)/\1/p' served); [ -z "$url" ] || break; sleep 0.1; done
[ -n "$url" ] || { cat served; echo "FAIL openai page: serve did not start"; exit 1; }
bad=0
for look in light dark phone; do
    "$NEW" "$driver" "$chromium" "$url" "$look" "$pictures/$look.png" "$TMP/profile-$look" >said 2>&1 || { echo "FAIL openai page, $look: $(tail -n 5 said | tr '\n' ' ')"; bad=1; }
done
[ $bad = 0 ] && echo "ok openai page: a picture dropped, a question typed and answered, a second turn, a refusal shown; no complaint, no wider than the window, in light, dark and 390 pixels wide"
exit $bad
