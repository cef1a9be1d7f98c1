# bench.waterfall: ops of all phases, their limits, down to the ideal without a gap.  run.ops_table: a table, and the same losses.
. "$(dirname "$0")/tools.inc"
${CC:-cc} -o jsonok "$(dirname "$config")/../tests/launch/jsonok.c" $(pkg-config --cflags --libs jansson)

watched=(--set run.dir=fall --set parallel.threads=1 --set parallel.bind=none --set bench.rates=false --set bench.warm=0 --set bench.steps=2
         --set model.decoder.max_len=40 --set data.set= --set train.micro_batch=2 --set train.global_batch=8 --set bench.waterfall=true)

says 0 2 bench "$config" "${watched[@]}"
grep -q '^waterfall of rank 0: 2 steps of .* ms, watched; 1 thread$' out || { cat out; fail "no table"; }
./jsonok fall/waterfall.json || fail "waterfall.json is no JSON"
# value KEY LINE-PATTERN: of each line that has it
value() { grep -E "$2" fall/waterfall.json | sed -nE 's/.*"'"$1"'": ([-0-9.e+]+).*/\1/p'; }
for what in 'forward", "op": "linear_fwd' 'backward", "op": "linear_dx' 'backward", "op": "linear_dw' 'sums", "op": "zero' 'sums", "op": "add_fwd' \
    'optimizer", "op": "adamw' 'optimizer", "op": "sumsq_blocks' 'sums", "what": "messages dp' 'backward", "what": "between'; do
    grep -qF "{\"phase\": \"$what\"" fall/waterfall.json || fail "no line: $what"
done
# The micro-batch's rows through a square matrix of the decoder: shape and flops, held against sgemm.
grep -F '"op": "linear_fwd", "shape": [80, 64, 64]' fall/waterfall.json | grep -qF '"limit": "sgemm"' || fail "no product of (80,64,64)"
awk -v calls="$(value calls 'linear_fwd", "shape": \[80, 64, 64\]')" -v flops="$(value flops 'linear_fwd", "shape": \[80, 64, 64\]')" \
    'BEGIN { exit !(calls > 0 && flops / calls == 2 * 80 * 64 * 64) }' || fail "the flops of a product of (80,64,64)"
# Ops, messages and what is between are the step; the way ends at the ideal, which is the sum of the ops' own.
{ echo "step $(value step '"format"')"; echo "ideal $(value ideal '"format"')"; value seconds '"what"' | sed 's/^/part /'
  value left '"what"' | sed 's/^/left /'; value ideal '"op"' | sed 's/^/own /'; } |
    awk '{ n[$1]++; s[$1] += $2; last[$1] = $2; if ($1 == "left" && n["left"] > 1 && $2 > was + 1e-9) up = 1; if ($1 == "left") was = $2 }
         function near(a, b) { return a - b < 1e-5 * last["step"] && b - a < 1e-5 * last["step"] }
         END { if (!near(s["part"], last["step"]) || !near(last["left"], last["ideal"]) || !near(s["own"], last["ideal"]) || up) {
                   print "parts " s["part"] " of " last["step"] ", left " last["left"] ", own " s["own"] ", ideal " last["ideal"]; exit 1 } }' ||
    fail "the waterfall does not add up"

# The same on one thread, in turn; samples from 20 to 40 rows are 30 in the mean.
says 0 0 bench "$config" "${watched[@]}" --set parallel.threads=2 --set bench.one_thread=true --set bench.min_len=20
grep -q 'saves ms *left ms *faster$' out || { cat out; fail "no column of one thread"; }
[ "$(value one_thread 'linear_fwd", "shape": \[60, 64, 64\]')" ] || fail "no product of (60,64,64), or not on one thread"

# A training run's table; watching changes no bit.
says 0 0 pack "$config" "${small[@]}"
says 0 2 train "$config" "${small[@]}" --set run.dir=plain
says 0 2 train "$config" "${small[@]}" --set run.dir=table --set run.ops_table=true
same_losses plain table
[ ! -e plain/ops.txt ] || fail "a table that nobody asked for"
for op in linear_fwd linear_dw attention_bwd adamw 'in no op' all; do grep -q "^$op  " table/ops.txt || { cat table/ops.txt; fail "no $op in ops.txt"; }; done
! grep -q linear_fwd out || fail "the table is on stdout"
