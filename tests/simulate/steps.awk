# steps.awk -- simulations of training steps (simulate.sh) as a table: a line is "NODES planned S planned_dp S layers L step S ...", or two of
# them for one number of nodes, of one decoder layer and of three.
function get(k,   i) { for (i = 1; i < NF; i++) if ($i == k) return $(i + 1); return 0 }
function show(n) {
    if (!first) first = t["step"]
    printf "%5d %8.3f %8.3f %+6.1f %7.3f %8.3f %8.3f %8.3f %8.3f %8.3f %6d\n", n, t["step"], planned, 100 * (planned / t["step"] - 1),
           first / t["step"], t["compute"], t["tp"], t["dp"], planned_dp, t["optimizer"], wall
    printf "%d,%.6f,%.6f,%.6f,%.6f,%.6f,%.6f,%.6f,%.6f,%d\n", n, t["step"], planned, first / t["step"], t["compute"], t["tp"], t["dp"],
           planned_dp, t["optimizer"], wall >csv
}
BEGIN {
    split("step forward backward reduce optimizer compute tp dp", key)
    print "            step s  of plan  diff    weak  compute       tp       dp  of plan   update   wall"
    print "nodes  simulated        s     %    eff.        s        s  exposed s       s        s      s"
    print "nodes,step,planned,efficiency,compute,tp,dp,planned_dp,optimizer,wall" >csv
}
{
    n = $1; planned = get("planned"); planned_dp = get("planned_dp"); layers = get("layers")
    again = n == last && pending
    for (i in key) {
        k = key[i]
        now = get(k)
        if (again) t[k] += (now - t[k]) * (layers - 1) / 2      # one layer, then three
        else t[k] = now
    }
    wall = again ? (get("wall") > wall ? get("wall") : wall) : get("wall")
    if (get("simulated_layers") < layers && !again) pending = 1
    else { show(n); pending = 0 }
    last = n
}
END {
    print "\ncompute: products and what passes through memory, without messages; tp: sums inside a replica, waiting included; dp: what exchanges and"
    print "collections are waited for; wall: seconds that the simulation took"
}
