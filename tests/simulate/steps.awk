# steps.awk -- simulations of training steps (simulate.sh) as a table: a line is "NODES planned S planned_dp S simulated_layers L step S ..."
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
    for (i in key) t[key[i]] = get(key[i])
    planned = get("planned"); planned_dp = get("planned_dp"); wall = get("wall")
    show($1)
}
END {
    print "\ncompute: products and what passes through memory, without messages; tp: sums inside a replica, waiting included; dp: what exchanges and"
    print "collections are waited for; wall: seconds that the simulation took"
}
