# Folders that transformers wrote, of the newest version and of one of the 4.4x line: imported and exported, every file is the same.
set -u
cat >"$TMP/empty.cfg" <<'C'
run: { dir = "run"; };
model: { codes: { depth = 2; size = 64; layer = -1; }; head: { width = 64; layers = 1; heads = 4; }; };
C
status=0
one() {                                         # PYTHON
    local version n=0 names='' wrong='' dir name keys
    rm -rf "$TMP/folders" "$TMP/in" "$TMP/back"
    version=$("$1" "$(dirname "$0")/folders.py" "$TMP/folders" 2>"$TMP/err" | tail -n 1)
    for dir in "$TMP"/folders/*/; do
        name=$(basename "$dir")
        mapfile -t keys < <(sed 's/.*/--set\n&/' "$dir/keys")
        rm "$dir/keys"
        if "$ASVR" import "$TMP/empty.cfg" "${keys[@]}" --set import.from="$dir" --set import.to="$TMP/in/$name" >"$TMP/out" 2>&1 &&
            "$ASVR" export "$TMP/empty.cfg" "${keys[@]}" --set export.from="$TMP/in/$name" --set export.to="$TMP/back/$name" >>"$TMP/out" 2>&1 &&
            diff -r "$dir" "$TMP/back/$name" >>"$TMP/out"; then
            n=$((n + 1)) names+=" $name"
        else
            wrong+=" $name ($(tail -n 5 "$TMP/out" | tr '\n' ' '))"
        fi
    done
    if [ -z "$wrong" ] && [ $n -gt 10 ]; then
        echo "ok   transformers $version wrote $n folders, import and export give the same bytes:$names"
    else
        echo "FAIL transformers $version: of its folders $n come back the same, not:$wrong $(tail -n 2 "$TMP/err")"
        status=1
    fi
}
one "$NEW"
one "$OLD"
exit $status
