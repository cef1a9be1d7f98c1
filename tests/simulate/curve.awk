# curve.awk -- reductions of buckets (simulate.sh) as a table and a picture: a line is "NODES K C C2 MESSAGES BYTES A A2 MESSAGES BYTES GRADIENT
# [EACH BUNDLED]": seconds of K and of 2 K buckets, messages of a rank in K, bytes of one; in levels, then all at once; bytes of a rank's gradient; two
# buckets in levels with each message by itself and bundled.
function size(b) { return b >= 1048576 ? sprintf("%.4g MiB", b / 1048576) : sprintf("%.4g KiB", b / 1024) }
function x(n) { return 70 + 380 * log(n / from) / log(to / from) }
function y(t) { return 30 + 210 * (1 - log(t / low) / log(high / low)) }
function line(t, colour, dash,   i, d) {
    for (i = 1; i <= rows; i++) d = d (i > 1 ? "L" : "M") sprintf("%.1f %.1f", x(at[i]), y(t[i]))
    return "<path d=\"" d "\" fill=\"none\" stroke=\"" colour "\" stroke-width=\"2\"" (dash ? " stroke-dasharray=\"5 4\"" : "") "/>\n"
}
function text(px, py, s, more) { return sprintf("<text x=\"%.1f\" y=\"%.1f\"%s>%s</text>\n", px, py, more ? " " more : "", s) }
BEGIN {
    print "                     in levels: a bucket       all at once: a bucket           a step, s            messages a step"
    print "nodes  replicas       size       us            size       us       in levels  at once     in levels  at once  bundled"
    print "nodes,replicas,bucket_bytes,bucket_s,once_bytes,once_s,step_s,step_once_s,messages,messages_once" >csv
}
{
    rows++
    at[rows] = replicas = $1 * each / tp
    one = ($4 - $3) / $2; once = ($8 - $7) / $2
    c[rows] = one * $11 / $6; f[rows] = once * $11 / $10
    mc = $5 / $2 * $11 / $6; mf = $9 / $2 * $11 / $10
    printf "%5d %9d %10s %8.0f %15s %8.0f %15.3f %8.3f %12.0fk %7.0fk %8s\n", $1, replicas, size($6), 1e6 * one, size($10), 1e6 * once, c[rows], f[rows],
           mc / 1000, mf / 1000, (NF > 11 ? sprintf("%+.2f %%", 100 * ($13 / $12 - 1)) : "")
    printf "%d,%d,%d,%.9f,%d,%.9f,%.4f,%.4f,%.0f,%.0f\n", $1, replicas, $6, one, $10, once, c[rows], f[rows], mc, mf >csv
}
END {
    from = at[1]; to = at[rows]; low = 1e9; high = 0
    for (i = 1; i <= rows; i++) {
        low = c[i] < low ? c[i] : low; low = f[i] < low ? f[i] : low
        high = c[i] > high ? c[i] : high; high = f[i] > high ? f[i] : high
    }
    low = low / 1.3; high = high * 1.3
    s = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"560\" height=\"300\" font-family=\"sans-serif\" font-size=\"12\">\n" \
        "<rect width=\"560\" height=\"300\" fill=\"#fff\"/>\n" text(70, 18, "All buckets of a step among replicas, simulated (s)", "font-weight=\"bold\"")
    for (e = -5; e <= 2; e++)
        for (m = 1; m <= (high > 30 * low ? 2 : 7); m++)
            if ((t = m * 10 ^ e) > low && t < high)
                s = s sprintf("<path d=\"M70 %.1fH450\" stroke=\"#ddd\"/>\n", y(t)) text(62, y(t) + 4, t, "text-anchor=\"end\"")
    for (i = 1; i <= rows; i++)
        s = s sprintf("<path d=\"M%.1f 240v5\" stroke=\"#888\"/>\n", x(at[i])) text(x(at[i]), 258, at[i], "text-anchor=\"middle\"")
    s = s "<path d=\"M70 240H450\" stroke=\"#888\"/>\n" text(260, 282, "replicas", "text-anchor=\"middle\"")
    s = s line(c, "#c33", 0) line(f, "#36a", 1)
    s = s text(458, y(c[rows]) + 4, "in levels", "fill=\"#c33\"") text(458, y(f[rows]) + 4, "all at once", "fill=\"#36a\"")
    print s "</svg>" >svg
}
