# curve.awk -- reductions of buckets (simulate.sh) as a table and a picture: a line is "NODES K C C2 F F2 MESSAGES BUCKETS [EACH
# BUNDLED]": seconds of K and of 2 K buckets, canonical and fast; messages of a rank in K canonical ones; buckets of a step; two buckets
# with each message by itself and bundled.
function size(b) { return b >= 1048576 ? sprintf("%.4g MiB", b / 1048576) : sprintf("%.4g KiB", b / 1024) }
function x(n) { return 70 + 380 * log(n / from) / log(to / from) }
function y(t) { return 30 + 210 * (1 - log(t / low) / log(high / low)) }
function line(t, colour, dash,   i, d) {
    for (i = 1; i <= rows; i++) d = d (i > 1 ? "L" : "M") sprintf("%.1f %.1f", x(at[i]), y(t[i]))
    return "<path d=\"" d "\" fill=\"none\" stroke=\"" colour "\" stroke-width=\"2\"" (dash ? " stroke-dasharray=\"5 4\"" : "") "/>\n"
}
function text(px, py, s, more) { return sprintf("<text x=\"%.1f\" y=\"%.1f\"%s>%s</text>\n", px, py, more ? " " more : "", s) }
BEGIN {
    print "nodes  replicas       piece   messages a rank     a bucket, us     a step of all buckets, s   canonical  bundled"
    print "                              a bucket    a step  canonical     fast   canonical     fast      / fast  differs"
    print "nodes,replicas,piece_bytes,messages_bucket,canonical_s,fast_s,step_canonical_s,step_fast_s" >csv
}
{
    rows++
    at[rows] = replicas = $1 * each / tp
    c[rows] = ($4 - $3) / $2; f[rows] = ($6 - $5) / $2
    messages = $7 / $2; buckets = $8
    printf "%5d %9d %11s %10d %9.0fk %10.0f %8.0f %11.2f %8.2f %11.2f %8s\n", $1, replicas, size(2097152 / replicas), messages,
           messages * buckets / 1000, 1e6 * c[rows], 1e6 * f[rows], c[rows] * buckets, f[rows] * buckets, c[rows] / f[rows],
           (NF > 8 ? sprintf("%+.2f %%", 100 * ($10 / $9 - 1)) : "")
    printf "%d,%d,%d,%d,%.9f,%.9f,%.4f,%.4f\n", $1, replicas, 2097152 / replicas, messages, c[rows], f[rows], c[rows] * buckets, f[rows] * buckets >csv
}
END {
    from = at[1]; to = at[rows]; low = 1e9; high = 0
    for (i = 1; i <= rows; i++) {
        low = c[i] < low ? c[i] : low; low = f[i] < low ? f[i] : low
        high = c[i] > high ? c[i] : high; high = f[i] > high ? f[i] : high
    }
    low = low / 1.3; high = high * 1.3
    s = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"560\" height=\"300\" font-family=\"sans-serif\" font-size=\"12\">\n" \
        "<rect width=\"560\" height=\"300\" fill=\"#fff\"/>\n" text(70, 18, "A bucket of 2 MiB reduced among replicas, simulated (ms)", "font-weight=\"bold\"")
    for (e = -5; e <= 2; e++)
        for (m = 1; m <= (high > 30 * low ? 2 : 7); m++)
            if ((t = m * 10 ^ e) > low && t < high)
                s = s sprintf("<path d=\"M70 %.1fH450\" stroke=\"#ddd\"/>\n", y(t)) text(62, y(t) + 4, 1000 * t, "text-anchor=\"end\"")
    for (i = 1; i <= rows; i++)
        s = s sprintf("<path d=\"M%.1f 240v5\" stroke=\"#888\"/>\n", x(at[i])) text(x(at[i]), 258, at[i], "text-anchor=\"middle\"")
    s = s "<path d=\"M70 240H450\" stroke=\"#888\"/>\n" text(260, 282, "replicas", "text-anchor=\"middle\"")
    s = s line(c, "#c33", 0) line(f, "#36a", 1)
    s = s text(458, y(c[rows]) + 4, "canonical", "fill=\"#c33\"") text(458, y(f[rows]) + 4, "fast", "fill=\"#36a\"")
    print s "</svg>" >svg
}
