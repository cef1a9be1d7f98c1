# `asvr plan` with plan.nodes: described machines, the best grid of each number of nodes, the parts of its step, what is refused.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/tools.inc"
configs=$(dirname "$config")

# machine KEY=VALUE...: m.cfg, a described machine with these keys otherwise
machine() {
    local -A key=([cores]=4 [sockets]=1 [gflops]=50.0 [memory]=40.0 [ram]=16.0 [alpha]=2.0 [beta]=10.0 [alpha_in]=0.5 [beta_in]=5.0
                  [overhead]=0.5 [storage]=1.0 [mtbf]=1000.0)
    local one
    for one; do key[${one%%=*}]=${one#*=}; done
    { echo 'cluster: {'; for one in "${!key[@]}"; do [ -z "${key[$one]}" ] || echo "  $one = ${key[$one]};"; done; echo '};'; } >m.cfg
}
base=(--set data.codes=stored --set run.dir= --set plan.cluster=m.cfg --set plan.csv=csv)
given=("${base[@]}" --set plan.grid=given)
plan() { says 0 0 plan "$config" "$@"; }
# csv COLUMN [LINE]: a figure of the table
csv() { awk -F, -v c="$1" -v l="${2:-1}" 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i } NR == l + 1 { print $at[c] }' csv; }
# near A B SHARE WHAT
near() { awk -v a="$1" -v b="$2" -v s="$3" 'BEGIN { exit !(b > 0 && a / b - 1 <= s && 1 - a / b <= s) }' || fail "$4: $1, not $2"; }
more() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a > b) }' || fail "$3: $1 is not more than $2"; }

# ---- llava15-7b, to 1024 nodes, in seconds; every described machine can be read ----
for m in "$configs"/clusters/*.cfg; do
    says 0 0 plan "$configs/llava15-7b/instruct.cfg" --set plan.cluster="$m" --set plan.nodes=64
    grep -qE '^ +64 +[0-9]+ x ' out || { cat out; fail "$m: no line for 64 nodes"; }
done
(time timeout 60 "$ASVR" plan "$configs/llava15-7b/instruct.cfg" --set plan.cluster="$configs/clusters/epyc-hdr.cfg" --set plan.nodes=1..1024 \
    --set plan.scaling=weak --set train.global_batch=2 --set plan.csv=csv --set plan.svg=svg) >out 2>err || { cat out err; fail "1024 nodes"; }
[ "$(cut -d, -f1 csv | tail -n +2 | xargs)" = '1 2 4 8 16 32 64 128 256 512 1024' ] || { cat csv; fail "not the nodes of 1..1024"; }
[ "$(head -1 csv | cut -d, -f1-14)" = nodes,ranks,dp,tp,zero,micro_batch,step,compute,tp_s,dp_exposed,dp_total,optimizer,messages,bytes ] || fail "columns"
# A step is the sum of its parts, a replica has what divides, and what is lost is 1 - efficiency (ZeRO can make more of more nodes: nothing is lost then).
awk -F, 'NR > 1 { bad += $2 != $3 * $4 || $20 % ($3 * $6) || $2 != $1 * $18; d = ($8 + $9 + $10 + $12 + $15) / $7 - 1; bad += d > 1e-4 || d < -1e-4
                  bad += $10 > $11 * 1.0001 || $17 > $16 * 1.0001 || $16 > $10 * 1.0001 } END { exit NR != 12 || bad }' csv ||
    { cat csv; fail "parts do not add up"; }
sed -n '/^lost against/,/^$/p' out | awk 'NR > 1 && NF { sum += $NF } END { print sum }' >lost
awk -v e="$(csv efficiency 11)" '{ d = $1 - (e < 1 ? 100 * (1 - e) : 0) } END { exit d > 0.4 || d < -0.4 }' lost || { cat out; fail "what is lost is not 1 - efficiency"; }
grep -q 'Young 1974' out && grep -q 'Daly 2006' out && grep -q 'Rabenseifner' out || { cat out; fail "assumptions are not printed"; }
[ "$(grep -c "<rect" svg)" -gt 11 ] && grep -q '</svg>' svg || fail "no picture"

# ---- checkpoints: C = 300 s, M = 24 h, by hand 7200 s and 7200 (1 + 0.0416667 / 3 + 0.00173611 / 9) - 300 = 7001.4 s ----
saves() { says 0 0 plan "$configs/llava15-7b/instruct.cfg" "${base[@]}" --set plan.nodes="$1"; }
machine ram=4000.0
saves 1
bytes=$(csv saved)
slow() { machine ram=4000.0 mtbf=24.0 storage="$(awk -v b="$bytes" -v s="$1" 'BEGIN { printf "%.12g", b / 0.78e9 / s }')"; }
slow 300
saves 1
near "$(csv write_s)" 300 1e-5 "a save"
near "$(csv young_s)" 7200 1e-5 Young
near "$(csv daly_s)" 7001.39 1e-5 Daly
saves 4                                                # four nodes fail four times as often
near "$(csv young_s)" 3600 1e-5 Young
slow 200000
saves 1
near "$(csv daly_s)" 86400 1e-9 "Daly, of a save longer than 2 M"

# ---- bytes are those of the plan of one grid ----
machine
for z in 0 1 2; do
    plan "${given[@]}" --set plan.nodes=2 --set parallel.threads=2 --set parallel.tp=2 --set parallel.zero=$z
    plan --set data.codes=stored --set run.dir= --set plan.replicas=2 --set parallel.tp=2 --set parallel.zero=$z
    [ "$(sed -nE 's/^  (tp|dp|world) +together .* ([0-9]+) bytes$/\2/p' out | awk '{ n += $1 } END { print n }')" = "$(csv bytes)" ] ||
        { cat out csv; fail "zero $z: bytes differ"; }
done
# Twice dp - 1 messages a bucket, and over all log2(ranks) for the norm and for the targets, twice as many for the losses.
plan "${given[@]}" --set plan.nodes=2,4
[ "$(csv messages 2)" = $((3 * $(csv messages 1) - 4)) ] || { cat csv; fail "messages"; }

# ---- by hand: each cost alone ----
# A processor's time alone: every message is sent here and taken in there.
free=(alpha=0 alpha_in=0 beta=1e6 beta_in=1e6 memory=1e8 overhead=0)
machine "${free[@]}" overhead=3.0
for z in 0 1 2; do
    plan "${given[@]}" --set plan.nodes=4 --set parallel.threads=4 --set parallel.zero=$z
    near "$(csv dp_total)" "$(awk -v m="$(csv messages)" 'BEGIN { print 2 * 3e-6 * m }')" 1e-3 "zero $z: overhead"
done
# Bytes alone: over the link to others, and inside a node, where two ranks sum.
together() {
    plan --set data.codes=stored --set run.dir= "${@:2}"
    sed -nE "s/^  $1 +together .* ([0-9]+) bytes\$/\1/p" out
}
machine "${free[@]}" beta=0.5
plan "${given[@]}" --set plan.nodes=4 --set parallel.threads=4
near "$(csv dp_total)" "$(together dp --set plan.replicas=4 | awk '{ print $1 / 0.5e9 }')" 0.02 "bytes over dp"
# Where products take no time nothing hides; where they take some, sums in two phases do.
machine "${free[@]}" beta_in=0.5 gflops=1e9
plan "${given[@]}" --set plan.nodes=1 --set parallel.threads=2 --set parallel.tp=2
bare=$(csv tp_s)
near "$bare" "$(together tp --set parallel.tp=2 | awk '{ print $1 / 0.5e9 }')" 1e-3 "bytes over tp"
machine "${free[@]}" beta_in=0.5
plan "${given[@]}" --set plan.nodes=1 --set parallel.threads=2 --set parallel.tp=2
more "$bare" "$(csv tp_s)" "sums behind which nothing is computed"

# ---- what costs more takes longer ----
step() { machine "$@"; plan "${given[@]}" --set plan.nodes=4 --set parallel.threads=4; csv step; }
was=$(step)
for worse in overhead=50.0 alpha=200.0 beta=1.0 gflops=25.0 memory=4.0; do more "$(step "$worse")" "$was" "$worse"; done
more "$(machine beta_in=0.1; plan "${given[@]}" --set plan.nodes=1 --set parallel.threads=2 --set parallel.tp=2; csv step)" \
     "$(machine; plan "${given[@]}" --set plan.nodes=1 --set parallel.threads=2 --set parallel.tp=2; csv step)" beta_in
# The best grid is no slower than a given one.
machine
plan "${given[@]}" --set plan.nodes=4 --set parallel.threads=4
was=$(csv step)
plan "${base[@]}" --set plan.nodes=4
! awk -v a="$(csv step)" -v b="$was" 'BEGIN { exit !(a > 1.000001 * b) }' || fail "the best grid is slower than another"

# ---- one rank on one node is the plan of one rank, by the same rates ----
rates=(--set train.micro_batch=2 --set train.global_batch=4 --set model.decoder.max_len=40 --set parallel.threads=1 --set data.codes=stored)
says 0 1 bench "$config" "${rates[@]}" --set run.dir=rates
rate() { sed -nE "s/.*\"$1\": ([0-9.e+]+).*/\1/p" rates/bench.json; }
machine cores=1 gflops="$(rate sgemm | awk '{ printf "%.9f", $1 / 1e9 }')" memory="$(rate memory | awk '{ printf "%.9f", $1 / 1e9 }')"
plan "${rates[@]}" "${given[@]}" --set plan.nodes=1 --set plan.rates=rates
plan "${rates[@]}" --set run.dir= --set plan.rates=rates
sed -nE 's/^predicted step ([0-9.]+) s .*/\1/p' out | awk -v x="$(csv step)" '{ d = $1 - x; exit d > 6e-5 || d < -6e-5 }' ||
    { cat out csv; fail "one rank is not as the plan of one rank"; }

# ---- what is refused ----
refused() { says 78 0 plan "$config" "${base[@]}" --set plan.nodes=1 "${@:2}"; blames "$1"; }
machine ram=0.01
refused 'no grid fits: '
machine
for n in 0 4,2 1.. 1..x a 1,,2 1, 5..2 2000000; do refused 'plan.nodes are no numbers of nodes' --set plan.nodes=$n; done
plan "${base[@]}" --set plan.nodes=3..20 --set train.global_batch=960
[ "$(cut -d, -f1 csv | tail -n +2 | xargs)" = '3 4 8 16 20' ] || fail "3..20"
plan "${base[@]}" --set plan.nodes=4..4
[ "$(cut -d, -f1 csv | tail -n +2 | xargs)" = 4 ] || fail "4..4"
# A prime number of replicas, too large for the pieces of a bucket to be counted: left out, as what does not divide.
refused 'no grid on these nodes' --set plan.nodes=65537 --set plan.grid=given --set plan.cluster="$configs/clusters/epyc-ndr.cfg" \
    --set parallel.threads=128 --set parallel.zero=1 --set train.micro_batch=1 --set train.global_batch=65537
refused 'is no whole number of samples' --set plan.nodes=3,4 --set plan.scaling=weak
refused 'no grid on these nodes divides a batch of 16' --set plan.nodes=3
refused 'plan.cluster wants plan.nodes' --set plan.nodes=
refused 'plan.nodes wants plan.cluster' --set plan.cluster=
refused 'heads = 4 does not divide' --set plan.grid=given --set parallel.tp=3
refused 'stages pretrain and instruct' --set train.stage=contrast
machine bandwith=3.0
refused 'a cluster has no key "bandwith"'
machine aplha=3.0
refused 'did you mean alpha?'
machine beta=
refused 'does not say its beta'
machine beta=-1.0
refused 'beta is out of range'
machine cores=6 sockets=4
refused 'sockets = 4 does not divide cores = 6'
echo 'model: { };' >m.cfg
refused 'no described machine: "model"'
echo 'cluster: {' >m.cfg
refused 'cannot be parsed'
rm m.cfg
refused m.cfg
machine
says 74 0 plan "$config" "${base[@]}" --set plan.nodes=1 --set plan.csv=nowhere/csv
