# serve: texts, pictures, talks, streams; what it refuses and how; many at once; clients that go; a key; how it ends.
here=$(cd "$(dirname "$0")/.." && pwd)
export no_proxy="*" NO_PROXY="*"            # what is asked here never leaves the machine
. "$here/launch/tools.inc"
small+=(--set data.samples=24 --set train.steps=8 --set run.dir=tiny --set chat.temperature=1 --set serve.port=0 --set serve.max_tokens=40 --set serve.max_images=2)
says 0 0 pack "$config" "${small[@]}"
says 0 0 train "$config" "${small[@]}"
for i in 1 2; do printf 'P6 8 8 255\n%s' "$(head -c 192 /dev/zero | tr '\0' "$i")" >$i.ppm; done
picture() { printf '{"type":"image_url","image_url":{"url":"data:image/x-portable-pixmap;base64,%s"}}' "$(base64 -w0 $1)"; }

job=
trap '[ -z "$job" ] || kill "$job" 2>/dev/null || true' EXIT
# start ARGS...: a server in the background; $url is where, $job the process
start() {
    : >served                               # the one before has said its address there
    "$ASVR" serve "$config" "${small[@]}" "$@" >served 2>err &
    job=$!
    for _ in $(seq 600); do
        url=$(sed -n 's/^serving .*: \(http.*\)/\1/p' served)
        [ -z "$url" ] || return 0
        alive "$job" || { cat served err; fail "serve $* did not start"; }
        sleep 0.05
    done
    fail "serve $* never began to listen"
}
# ends CODE SIGNAL
ends() { local got=0; kill -"$2" "$job"; wait "$job" || got=$?; job=; [ "$got" = "$1" ] || { cat served err; fail "serve ended with $got after $2"; }; }
# post DATA [ARGS...]: the answer in `out`, its status in $status.  asks STATUS TEXT DATA: that must come, and say so
post() { status=$(curl -s -o out -w '%{http_code}' "$url/v1/chat/completions" -d "$1" "${@:2}") || true; }
asks() { post "$3" "${@:4}"; [ "$status" = "$1" ] && grep -qF -- "$2" out || { cat out; fail "status $status, expected $1 and \"$2\", of ${3:0:300}"; }; }
# The text of `out`, or of a stream, as chat prints it.
text() { grep -aoE '"content":"([^"\\]|\\.)*"' "${1:-out}" | sed 's/^"content":"//; s/"$//' | tr -d '\n' | sed 's/\\n/ /g; s/\\"/"/g; s/\\\\/\\/g; s/\\[bfrt]/?/g; s/\\u00[01][0-9A-F]/?/g'; echo; }
plain() { tr '\1-\11\13-\37' '?'; }
q() { printf '{"model":"tiny","messages":[%s]%s}' "$1" "${2-}"; }
user() { printf '{"role":"user","content":%s}' "$1"; }
until_health() { for _ in $(seq 400); do curl -s "$url/health" | grep -qF "$1" && return; sleep 0.05; done; curl -s "$url/health"; fail "health never said $1"; }

# ---- answers are those of chat ----
start
asks 200 '"finish_reason":' "$(q "$(user '"How many?"')")"
grep -qE '"object":"chat.completion".*"role":"assistant".*"usage":\{"prompt_tokens":[0-9]+,"completion_tokens":[0-9]+,"total_tokens":[0-9]+\}' out || { cat out; fail "not OpenAI's object"; }
text >told
asks 200 '"choices"' "$(q "$(user "[{\"type\":\"text\",\"text\":\"what is it?\"},$(picture 1.ppm)]")")"
text >>told
asks 200 '"choices"' "$(q "$(user "[$(picture 1.ppm),{\"type\":\"text\",\"text\":\"is <image> as red as <image>?\"},$(picture 2.ppm)]")")"
text >>told
asks 200 '"choices"' "$(q "$(user '"How many?"'),{\"role\":\"assistant\",\"content\":\"two .\"},$(user "[$(picture 2.ppm),{\"type\":\"text\",\"text\":\"and now?\"}]")")"
text >turns
chat() { says 0 0 chat "$config" "${small[@]}" --set chat.max_new=40 --set chat.question="$1" "${@:2}"; cat out; }
{ chat 'How many?'; chat 'what is it?' --set chat.image=1.ppm; chat 'is <image> as red as <image>?' --set chat.image=1.ppm,2.ppm; } | plain >chatted
diff chatted told || fail "serve answers otherwise than chat"
[ "$(tr -d '\n' <told | wc -c)" -gt 30 ] || { cat told; fail "answers too short to compare"; }

asks 200 '[DONE]' "$(q "$(user '"How many?"')" ',"stream":true,"stream_options":{"include_usage":true}')" -N
[ "$(text)" = "$(head -1 told)" ] || { cat out; fail "a stream says something else"; }
grep -q '"delta":{"role":"assistant","content":""}' out && [ "$(grep -c '^data: ' out)" -gt 4 ] && grep -q '"choices":\[\],"usage":{"prompt_tokens":[0-9]' out || { cat out; fail "no stream of chunks"; }
first=$(head -1 told); word=$(grep -oE '[a-z]{4,}' <<<"${first#* }" | head -1)
asks 200 '"finish_reason":"stop"' "$(q "$(user '"How many?"')" ",\"stop\":[\"$word\"]")"
[ "$(text)" = "${first%%"$word"*}" ] || [ "$(text)" = "$(sed 's/ *$//' <<<"${first%%"$word"*}")" ] || { cat out; fail "stop \"$word\" does not cut \"$first\""; }
asks 200 '"finish_reason":"length"' "$(q "$(user '"How many?"')" ',"max_tokens":1')"
asks 200 '"completion_tokens":2,' "$(q "$(user '"How many?"')" ',"max_completion_tokens":2')"
asks 200 '"choices"' "$(q "$(user '"How many?"')" ',"seed":5')"; text >five
asks 200 '"choices"' "$(q "$(user '"How many?"')" ',"seed":6,"user":"u","n":1,"top_p":1,"tools":[],"response_format":{"type":"text"},"logprobs":false')"; text >six
! cmp -s five six || fail "another seed, and the same answer"
[ "$(curl -s "$url/v1/models" | grep -c '"id":"tiny"')$(curl -s "$url/v1/models/tiny" | grep -c '"id":"tiny"')" = 11 ] || fail "models"
curl -s "$url/" | grep -q '</html>' || fail "no page"

# ---- what is refused ----
one=$(user '"x"')
asks 400 'no JSON' '{"model":"tiny","mess'
asks 400 'nested deeper' "$(printf '[%.0s' $(seq 3000))"
asks 400 'duplicate' '{"model":"tiny","model":"tiny"}'
asks 404 'model_not_found' '{"model":"gpt-4","messages":[{"role":"user","content":"x"}]}'
asks 400 '"param":"messages"' '{"model":"tiny"}'
asks 400 'last message must be a user' "$(q "$one,{\"role\":\"assistant\",\"content\":\"y\"}")"
asks 400 'user and assistant take turns' "$(q "$one,$one")"
asks 400 'in front of all others' "$(q "$one,{\"role\":\"system\",\"content\":\"y\"}")"
asks 400 '"param":"tools"' "$(q "$one" ',"tools":[{"type":"function"}]')"
asks 400 '"param":"n"' "$(q "$one" ',"n":2')"
asks 400 '"param":"top_p"' "$(q "$one" ',"top_p":0.9')"
asks 400 '"param":"logprobs"' "$(q "$one" ',"logprobs":true')"
asks 400 '"param":"response_format"' "$(q "$one" ',"response_format":{"type":"json_object"}')"
asks 400 '"param":"temperature"' "$(q "$one" ',"temperature":3')"
asks 400 '"param":"max_tokens"' "$(q "$one" ',"max_tokens":41')"
asks 400 '"param":"stop"' "$(q "$one" ',"stop":""')"
asks 400 'unknown_parameter' "$(q "$one" ',"top_k":3')"
asks 400 'fetches nothing' "$(q "$(user '[{"type":"image_url","image_url":{"url":"https://example.org/a.png"}}]')")"
asks 400 'no base64' "$(q "$(user '[{"type":"image_url","image_url":{"url":"data:image/png;base64,AA=A"}}]')")"
asks 400 'messages[0].content[0]' "$(q "$(user '[{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]')")"
bomb=$(printf 'P6 60000 60000 255\n' | base64 -w0)
asks 400 '60000 x 60000' "$(q "$(user "[{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,$bomb\"}}]")")"
asks 400 'too_many_images' "$(q "$(user "[$(picture 1.ppm),$(picture 1.ppm),$(picture 2.ppm)]")")"
asks 400 'as often as there are pictures' "$(q "$(user "[$(picture 1.ppm),{\"type\":\"text\",\"text\":\"<image> <image>?\"}]")")"
asks 400 'context_length_exceeded' "$(q "$(user "\"$(printf 'why %.0s' $(seq 600))\"")")"
asks 403 'forbidden_origin' "$(q "$one")" -H 'Origin: http://example.org'
asks 403 'forbidden_host' "$(q "$one")" -H 'Host: example.org'
[ "$(curl -s -o out -w '%{http_code}' "$url/v1/chat/completions")" = 405 ] && grep -q method_not_allowed out || fail "GET is answered"
[ "$(curl -s -o out -w '%{http_code}' -X DELETE "$url/v1/models")" = 405 ] || fail "DELETE is answered"
[ "$(curl -s -o out -w '%{http_code}' "$url/v1/nothing")" = 404 ] && grep -q '"code":"not_found"' out || fail "a path that is not there"

# ---- eight at once are as one by one ----
for i in 1 2 3 4 5 6 7 8; do
    q "$(user "[$(picture $((i % 2 + 1)).ppm),{\"type\":\"text\",\"text\":\"question number $i?\"}]")" ",\"seed\":$i" >q$i
    post "@q$i"; text >alone$i
done
for i in 1 2 3 4 5 6 7 8; do curl -s -o at$i "$url/v1/chat/completions" -d "@q$i" & pids[i]=$!; done
for i in 1 2 3 4 5 6 7 8; do wait ${pids[i]}; text at$i | cmp -s - alone$i || { cat alone$i at$i; fail "question $i is answered otherwise among others"; }; done

# ---- bytes that are no request, and clients that go ----
port=${url##*:}
raw() { ( exec 7<>"/dev/tcp/127.0.0.1/$port"; trap '' PIPE; "$@" >&7 || true; timeout 5 head -c 300 <&7 ) >heard 2>/dev/null || true; }
raw printf 'nonsense\r\n\r\n'
raw printf 'POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n'
grep -q ' 413 ' heard || { cat heard; fail "a length that is too much is not refused at once"; }
flood() { printf 'GET / HTTP/1.1\r\nHost: localhost\r\n'; yes $'X-Y: zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz\r' | head -n 4000; }
raw flood
grep -q ' 431 ' heard || { cat heard; fail "four thousand headers are taken"; }
exec 7<>"/dev/tcp/127.0.0.1/$port"; printf 'POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n\r\n{"mod' >&7; exec 7>&-
q "$one" ',"temperature":2' >gone
for _ in $(seq 200); do
    exec 7<>"/dev/tcp/127.0.0.1/$port"
    printf 'POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s' "$(wc -c <gone)" "$(cat gone)" >&7
    exec 7>&-
    ! grep -q '  499  ' served || break
done
grep -q '  499  ' served || { cat served; fail "nobody sees that clients go"; }
until_health '"running":0,"slots":8,"waiting":0'
[ ! -s err ] || { cat err; fail "serve complained"; }
ends 0 TERM

# ---- limits, a key ----
start --set serve.batch=1 --set serve.queue=1 --set serve.max_body=100000 --set serve.api_key=secret --set serve.max_tokens=200
asks 401 'invalid_api_key' "$(q "$one")"
asks 401 'invalid_api_key' "$(q "$one")" -H 'Authorization: Bearer secre'
key=(-H 'Authorization: Bearer secret')
asks 200 '"choices"' "$(q "$one" ',"max_tokens":2')" "${key[@]}"
head -c 300000 /dev/zero | tr '\0' 'x' >long
asks 413 'request_too_large' @long "${key[@]}"
asks 413 'request_too_large' @long "${key[@]}" -H 'Expect:' -H 'Transfer-Encoding: chunked'
q "$one" ',"temperature":2' >q
seq 60 | sed "s|.*|url = $url/v1/chat/completions\noutput = many|" >urls
curl -s -Z --parallel-max 60 --parallel-immediate -K urls -d @q "${key[@]}" -w '%{http_code}\n' >codes || true
[ "$(sort -u codes | tr '\n' ' ')" = '200 429 ' ] || { sort codes | uniq -c; fail "sixty at once, where one waits"; }
curl -s "$url/health" | grep -q '"status":"ok"' || fail "no health without a key"
for i in 1 2 3; do curl -s -o last$i -w '%{http_code}\n' "$url/v1/chat/completions" -d @q "${key[@]}" >code$i & pids[i]=$!; done
until_health '"running":1'
ends 0 TERM
for i in 1 2 3; do wait ${pids[i]} || true; grep -qE '^(200|429|503|000)$' code$i || { cat code$i; fail "a request at the end"; }; done
[ ! -s err ] || { cat err; fail "serve complained"; }

# ---- what does not start ----
start
says 78 0 serve "$config" "${small[@]}" --set serve.port="${url##*:}"
blames 'cannot listen' 'another port'
ends 0 INT
says 78 0 serve "$config" "${small[@]}" --set serve.address=0.0.0.0
blames 'serve.api_key is empty' 'serve.open'
says 78 0 serve "$config" "${small[@]}" --set serve.address=here.example.org --set serve.open=true
blames 'is no address'
says 78 2 serve "$config" "${small[@]}"
blames 'one process'
