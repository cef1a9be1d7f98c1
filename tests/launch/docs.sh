# README and docs name what is there: each link leads to a file and to a heading of it, each file of the tree, key, verb and target of make that is
# written as code exists, and each mark of a block is one that `make docs-test` knows (tests/docs/run.sh, which runs them).
. "$(dirname "$0")/tools.inc"
cd "$(dirname "$config")/.."
pages=(README.md CONTRIBUTING.md docs/*.md slurm/README.md)

# ---- links: "PAGE:LINE TARGET" of all that stands outside of code, and "PAGE ANCHOR" of all headings, as GitHub makes anchors ----
awk -v anchors="$TMP/anchors" '
    FNR == 1 { fence = 0; split("", seen) }
    /^ *```/ { fence = !fence; next }
    fence { next }
    /^#+ / {
        a = tolower($0)
        sub(/^#+ /, "", a)
        gsub(/[`*]|\]\([^)]*\)|\[/, "", a)
        gsub(/[^-a-z0-9_ \200-\377]/, "", a)
        gsub(/ /, "-", a)
        print FILENAME, seen[a]++ ? a "-" seen[a] - 1 : a > anchors
    }
    {
        gsub(/`[^`]*`/, "")
        while (match($0, /\]\([^) ]+\)/)) {
            print FILENAME ":" FNR, substr($0, RSTART + 2, RLENGTH - 3)
            $0 = substr($0, RSTART + RLENGTH)
        }
    }' "${pages[@]}" >"$TMP/links"
[ "$(wc -l <"$TMP/links")" -gt 50 ] || fail "only $(wc -l <"$TMP/links") links were found"
bad=0
dead() { echo "$1: $2"; bad=1; }
while read -r from target; do
    case $target in *://*) continue ;; esac
    page=${from%:*} path=${target%%#*}
    path=$(realpath -m --relative-to=. "${page%"${page##*/}"}./$path")
    [ "${target%%#*}" ] || path=$page
    [ -e "$path" ] || { dead "$from" "there is no $path"; continue; }
    case $target in *#*) grep -qxF "$path ${target#*#}" "$TMP/anchors" || dead "$from" "$path has no heading #${target#*#}" ;; esac
done <"$TMP/links"

# ---- what is written as code: in `...` and in fences ----
awk '
    /^ *```/ { fence = !fence; next }
    fence { print FILENAME ":" FNR "\t" $0; next }
    { while (match($0, /`[^`]+`/)) { print FILENAME ":" FNR "\t" substr($0, RSTART + 1, RLENGTH - 2); $0 = substr($0, RSTART + RLENGTH) } }' "${pages[@]}" >"$TMP/code"

# Files: a path that begins with a folder of the tree; of TESTING also below tests/.  {a,b} and * are the shell's, a path may leave its ending open;
# words in capitals stand for others, slurm/site.sh is the site's own.
grep -oP '^\S+?\t|(?<![\w./~$-])(?:core|dist|io|launch|tests|configs|docs|slurm|\.ci)/[\w./*{},-]*[\w*}]' "$TMP/code" |
    awk '/\t$/ { from = $1; next } { print from, $0 }' | sort -u | grep -vE ' .*[A-Z]{4}|slurm/site\.sh$' >"$TMP/paths"
[ "$(wc -l <"$TMP/paths")" -gt 300 ] || fail "only $(wc -l <"$TMP/paths") paths were found"
while read -r from path; do
    for p in $(set -f; eval "echo $path"); do
        for found in "$p" "$p.[ch]" "$p.cc" "$p.sh" "tests/$p" "tests/$p.[ch]" "tests/$p.sh"; do ! compgen -G "$found" >/dev/null || continue 2; done
        dead "$from" "there is no $p"
    done
done <"$TMP/paths"

# Keys: GROUP.NAME of a group that there is, no file and no tensor; the misspelt one is an error's example.
"$ASVR" help options | grep -oE '^[a-z_.0-9]+ =' | tr -d ' =' >"$TMP/keys"
groups=$(cut -d. -f1 "$TMP/keys" | sort -u | paste -sd '|')
grep -oP '^\S+?\t|(?<![\w./-])(?:'"$groups"')\.[a-z_0-9.]*[a-z_0-9](?![\w(*/])' "$TMP/code" |
    awk '/\t$/ { from = $1; next } { print from, $0 }' | sort -u |
    grep -vE '\.(jsonl?|csv|svg|png|sh|py|safetensors|zst)$|[. ]model\.(multi_modal_projector|vision_tower|language_model|mm_projector|safetensors)|\.widht$' >"$TMP/named"
[ "$(wc -l <"$TMP/named")" -gt 200 ] || fail "only $(wc -l <"$TMP/named") keys were found"
while read -r from key; do
    grep -qE "^$key(\.|$)" "$TMP/keys" || dead "$from" "there is no key $key"
done <"$TMP/named"

# Verbs and targets of make.
"$ASVR" help | sed -nE 's/^  ([a-z]+) {3,}.*/\1/p' >"$TMP/verbs"
printf '%s\n' help version >>"$TMP/verbs"
grep -oP '^\S+?\t|(?<![\w./-])(?<!make |object )(?:build/)?asvr [a-z]+(?![\w.-])' "$TMP/code" | awk '/\t$/ { from = $1; next } { print from, $2 }' | sort -u |
    while read -r from verb; do grep -qxF "$verb" "$TMP/verbs" || echo "$from: there is no verb $verb"; done >"$TMP/wrong"
sed -n 's/^\.PHONY: *//p' Makefile | tr ' ' '\n' >"$TMP/targets"
grep -oP '^\S+?\t|(?<![\w./-])make [a-z][a-z-]*(?![\w/.=-])' "$TMP/code" | awk '/\t$/ { from = $1; next } { print from, $2 }' | sort -u |
    while read -r from target; do grep -qxF -e "$target" "$TMP/targets" || echo "$from: make has no target $target"; done >>"$TMP/wrong"
cat "$TMP/wrong"
[ $bad = 0 ] && [ ! -s "$TMP/wrong" ] || fail "what the pages name is not there"

# ---- the table of keys, and examples of the help pages ----
"$ASVR" help options --markdown | diff - docs/OPTIONS.md || fail "docs/OPTIONS.md is not what \`make docs\` writes"
for f in $(for v in $(grep -vxE "help|version" "$TMP/verbs"); do "$ASVR" help "$v"; done | grep -oE '(configs|docs|slurm|launch)/[a-z0-9/_.-]*[a-z]' | sort -u); do [ -e "$f" ] || fail "a help page names $f, which is not there"; done

# ---- marks ----
! grep -nE '^ *```\S+ +\S' "${pages[@]}" | grep -vE '```((sh|console) test( exit=[0-9]+)?|text test|[a-z]+ file=[a-z][a-z.-]*)$' || fail "a mark that make docs-test does not know"
! grep -nE '^ *<!--' "${pages[@]}" | grep -vE ':[0-9]+: *<!-- test( exit=[0-9]+)?: .* -->$' || fail "a comment that is no command of make docs-test"
