# said.awk -- awk -v edges=open|closed -f said.awk WANTED SAID: is what was said what was wanted?  closed: all of it; open: it stands somewhere in it.
# A line "..." is any number of lines.  Words with a digit are all one word, so are blanks, and bars of # and .
function plain(s,    done) {
    gsub(/\[[#.]+\]/, "[#]", s)
    for (done = ""; match(s, /[A-Za-z_.,]*[0-9][A-Za-z0-9_.,]*/); s = substr(s, RSTART + RLENGTH))      # gsub of old mawks misses some
        done = done substr(s, 1, RSTART - 1) "0"
    s = done s
    gsub(/[ \t\r]+/, " ", s)
    sub(/^ /, "", s)
    sub(/ $/, "", s)
    return s
}
BEGIN { if (edges == "open") first[++runs] = 1 }
FNR == NR { if ($1 == "..." && NF == 1) first[++runs] = n + 1; else { wanted[++n] = plain($0); shown[n] = $0 }; next }
{ said[++m] = plain($0); line[m] = $0 }

# stands AT I J: the wanted lines I to J, from the line AT on
function stands(at, i, j,    k) {
    for (k = i; k <= j; k++) if (said[at + k - i] != wanted[k]) { if (k - i >= depth) { depth = k - i; missed = k }; return 0 }
    return 1
}
END {
    if (edges == "open") first[++runs] = n + 1
    # Pieces between "...": the first one begins where all begins, the last one ends where all ends; each other stands where it first can.
    at = 1
    begin = 1
    for (r = 1; r <= runs + 1 && !bad; r++) {
        end = r <= runs ? first[r] - 1 : n
        depth = 0
        missed = begin
        from = at
        to = r == 1 ? 1 : m - (end - begin)
        if (r == runs + 1) { if (r == 1 && m != n) bad = 1; from = m - (end - begin) < at ? m + 1 : m - (end - begin) }
        for (found = 0; !bad && !found && from <= to; from++) if (stands(from, begin, end)) found = from
        if (begin <= end && !found) bad = 1
        if (found) at = found + end - begin + 1
        begin = end + 1
    }
    if (!bad) exit 0
    print "not said:"
    for (k = missed; k <= n && k < missed + 5; k++) print "    " shown[k]
    print "but:"
    for (k = 1; k <= m; k++) print "    " line[k]
    exit 1
}
