# launch/scripts/table.awk: eval.json files -> a Markdown table, a row a variant: mean over seeds of each task's accuracy, of their
# mean with its standard deviation over seeds, and the difference to the first row with its standard error; then the mean
# over the tasks that are learned at all (5 points above the baseline, averaged over all rows).
#
#   awk -f launch/scripts/table.awk runs/reproduce/{none,semantic}-[0-9]*/instruct/eval.json
#
# The variant's name is the third folder from the file's end without "-SEED"; rows come in the order of the files.
FNR == 1 {
    n = split(FILENAME, path, "/")
    name = path[n - 2]
    sub(/-[0-9]+$/, "", name)
    if (!(name in runs)) rows[++n_rows] = name
    run = ++runs[name]
    match($0, /"loss_text": [0-9.e+-]+/)
    text[name] += substr($0, RSTART + 13, RLENGTH - 13)
    match($0, /"mean": [0-9.e+-]+/)
    mean[name, run] = 100 * substr($0, RSTART + 8, RLENGTH - 8)
}
/"accuracy":/ {
    split($0, part, "\"")
    task = part[2]
    if (!(task in known)) { known[task] = 1; tasks[++n_tasks] = task }
    match($0, /"accuracy": [0-9.e+-]+/)
    sum[name, task] += 100 * substr($0, RSTART + 12, RLENGTH - 12)
    match($0, /"baseline": [0-9.e+-]+/)
    base[task] = 100 * substr($0, RSTART + 12, RLENGTH - 12)
}
# What the paper has for the same comparison, against its own model without visual loss: tables 1 and 8; denoising from
# tables 4 and 9 (another data set).
BEGIN {
    split("semantic +3.0 appearance -1.8 both +1.7 discrete-none -3.5 discrete-semantic -1.5 instruct-only -1.1 denoising -0.5", p, " ")
    for (i = 1; i in p; i += 2) paper[p[i]] = p[i + 1]
}
function learned(name,   i, n, s) {
    for (i = 1; i <= n_tasks; i++)
        if (all_rows[tasks[i]] >= base[tasks[i]] + 5) { s += sum[name, tasks[i]] / runs[name]; n++ }
    return n ? s / n : 0
}
function average(name,   i, s) { for (i = 1; i <= runs[name]; i++) s += mean[name, i]; return s / runs[name] }
function spread(known, x) { return known ? sprintf(" ± %.1f", x) : "" }     # one seed has none
function variance(name,   i, s, m) {
    m = average(name)
    for (i = 1; i <= runs[name]; i++) s += (mean[name, i] - m) ^ 2
    return runs[name] > 1 ? s / (runs[name] - 1) : 0
}
END {
    for (r = 1; r <= n_rows; r++)
        for (i = 1; i <= n_tasks; i++) all_rows[tasks[i]] += sum[rows[r], tasks[i]] / runs[rows[r]] / n_rows
    printf "| variant |"
    for (i = 1; i <= n_tasks; i++) printf " %s |", tasks[i]
    printf " mean | to %s | paper | learned tasks | text loss | seeds |\n|---|", rows[1]
    for (i = 1; i <= n_tasks + 6; i++) printf "---:|"
    printf "\n| *most frequent answer* |"
    for (i = 1; i <= n_tasks; i++) { printf " %.1f |", base[tasks[i]]; all += base[tasks[i]] }
    printf " %.1f | | | | | |\n", all / n_tasks
    for (r = 1; r <= n_rows; r++) {
        v = rows[r]
        printf "| %s |", v
        for (i = 1; i <= n_tasks; i++) printf " %.1f |", sum[v, tasks[i]] / runs[v]
        printf " **%.1f**%s |", average(v), spread(runs[v] > 1, sqrt(variance(v)))
        if (r == 1) printf " | |"
        else printf " %+.1f%s | %s |", average(v) - average(rows[1]),
                    spread(runs[v] > 1 && runs[rows[1]] > 1, sqrt(variance(v) / runs[v] + variance(rows[1]) / runs[rows[1]])), paper[v]
        printf " %.1f | %.3f | %d |\n", learned(v), text[v] / runs[v], runs[v]
    }
}
