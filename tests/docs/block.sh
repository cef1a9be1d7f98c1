# block.sh TREE FILE LANGUAGE [exit=N]: runs one marked block (run.sh) in TREE; what it said stays in TREE/.said for a text block behind it
set -uo pipefail
cd "$1" || exit 1
export PATH=$PWD/build:$PATH                    # so that a hidden command may put a stand-in there
file=$2 want=${4#*exit=} here=$(dirname "${BASH_SOURCE[0]}")
want=${want:-0}

# ran CODE WANT: what was said, unless it ended as it should
ran() { [ "$1" = "$2" ] || { cat .said; echo "ended with $1, wanted $2"; exit 1; }; }
# compare EDGES: .said with .wanted
compare() { awk -v edges="$1" -f "$here/said.awk" .wanted .said || exit 1; }

case $3 in
sh)
    bash -euo pipefail "$file" >.said 2>&1 </dev/null
    ran $? "$want"
    ;;
text)
    cp "$file" .wanted
    compare open
    ;;
console)
    code=0
    : >.wanted
    while IFS= read -r line <&3; do
        case $line in
        '$ '*)
            [ ! -s .wanted ] || compare closed
            ran $code 0
            : >.wanted
            eval "${line#'$ '}" >.said 2>&1 </dev/null
            code=$?
            ;;
        *) printf '%s\n' "$line" >>.wanted ;;
        esac
    done 3<"$file"
    ran $code "$want"
    [ ! -s .wanted ] || compare closed
    ;;
*) echo "nobody runs a block of $3"; exit 1 ;;
esac
