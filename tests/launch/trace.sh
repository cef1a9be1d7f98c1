# bench.trace: what a step is made of, of all ranks; the spans nest and leave next to nothing out.
. "$(dirname "$0")/tools.inc"
${CC:-cc} -o jsonok "$(dirname "$config")/../tests/launch/jsonok.c" $(pkg-config --cflags --libs jansson)

traced=(--set run.dir= --set parallel.threads=1 --set bench.rates=false --set bench.warm=0 --set bench.steps=1
        --set model.decoder.max_len=40 --set data.set= --set train.micro_batch=2 --set train.global_batch=4)

# trace RANKS ARGS...: x.json is JSON; events.txt: pid, name, begin, end, axis, bytes
trace() {
    rm -f x.json x.folded
    says 0 "$1" bench "$config" "${traced[@]}" --set bench.trace=x.json "${@:2}"
    ./jsonok x.json || fail "$*: x.json is no JSON"
    sed -nE 's/^\{"name": "([^"]*)", "ph": "X", "pid": ([0-9]+), "tid": 0, "ts": ([-0-9.]+), "dur": ([0-9.]+)(, "args": \{"axis": "([a-z]*)", "bytes": ([0-9]+)\})?\},?$/\2|\1|\3|\4|\6|\7/p' \
        x.json >events.txt
    [ "$(wc -l <events.txt)" = $(($(wc -l <x.json) - 2 - 3 * $1)) ] || fail "$*: lines of x.json that are no spans"
    # Within the innermost open span, or behind it; so children of a span do not overlap, and are no longer than it.
    awk -F'|' '
        { end = $3 + $4 }
        $1 != pid { pid = $1; depth = 0 }
        { while (depth && $3 >= till[depth] - 0.005) depth--
          if (depth && end > till[depth] + 0.005) { print "line " NR ": " $2 " ends after " name[depth]; exit 1 }
          if (!depth && $2 != "step") { print "line " NR ": " $2 " is in no step"; exit 1 }
          if (depth) inside[depth] += $4
          till[++depth] = end; name[depth] = $2; inside[depth] = 0 }
        $2 == "step" { steps[pid]++ }
        END { for (p in steps) { n++; if (steps[p] != 3) { print "rank " p ": " steps[p] " steps"; exit 1 } }
              if (n != '"$1"') { print n " ranks"; exit 1 } }' events.txt || fail "$*"
    # The folded lines are all of the steps, and what has no name of its own is little.
    awk -v ranks="$1" -F'|' '
        FNR == NR { if ($2 == "step") whole[$1] += $4; next }
        { split($0, w, ";"); sub("rank ", "", w[1]); us = $0; sub(/.* /, "", us); sum[w[1]] += us }
        /^rank [0-9]+;step(;forward|;backward)? [0-9]+$/ { bare[w[1]] += us }
        END { for (r = 0; r < ranks; r++) {
                  off = sum[r] / whole[r] - 1
                  if (off > 0.01 || off < -0.01) { print "rank " r ": " sum[r] " of " whole[r] " us are in x.folded"; exit 1 }
                  if (bare[r] > 0.2 * whole[r]) { print "rank " r ": " bare[r] " of " whole[r] " us have no name"; exit 1 } } }' events.txt x.folded ||
        { grep -E '^rank [0-9]+;step(;forward|;backward)? ' x.folded; fail "$*"; }
}
# has NAME...: each rank has spans of that name
has() { for name; do [ "$(grep -F "|$name|" events.txt | cut -d'|' -f1 | sort -u | wc -l)" = "$ranks" ] || fail "not all ranks have $name"; done; }

ranks=2
trace 2 --set parallel.tp=2
has targets forward backward reduce losses optimizer decoder.0 decoder.1 vision.0 head.0 projector.0 linear_fwd linear_dx linear_dw attention_fwd \
    attention_bwd adamw allreduce
# Traced steps are slower, and in no figure: the slowest rank's step is that of the rate.
awk '$1 == "step" && NF > 5 { ms = $4 } /^Samples Per Second/ { off = $NF * ms / 4000 - 1; seen = 1 } END { exit !(seen && off * off < 0.0025) }' out ||
    { cat out; fail "the table of phases has other steps than the rate"; }
# A sum over tp of (micro-batch x rows, width) floats: each of two ranks sends its half away and gets it back as the sum.
awk -F'|' -v bytes=$((2 * 40 * 64 * 4)) '$5 == "tp" && $6 == bytes { n++ } END { exit n < 1 }' events.txt || fail "no sum over tp has the bytes of a layer"
# The embedding's 16 MB are final last, and wanted first: nothing hides them.
trace 2 --set parallel.zero=1 --set train.global_batch=8 --set model.decoder.vocab=65536
has forward backward reduce 'all-gather in two phases' optimizer
grep -q '^rank 1;step;backward;decoder.1;linear_dw [0-9]*$' x.folded || { head x.folded; fail "the folded lines"; }

# Forward and backward once a micro-batch.
[ "$(grep -c '^0|forward|' events.txt)" = 6 ] || fail "$(grep -c '^0|forward|' events.txt) forward passes of 3 steps of 2 micro-batches"

says 78 0 bench "$config" "${traced[@]}" --set bench.trace=x.txt
blames bench.trace
says 74 2 bench "$config" "${traced[@]}" --set bench.trace=/proc/nowhere/x.json
blames /proc/nowhere
