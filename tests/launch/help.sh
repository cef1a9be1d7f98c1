# The pages of help, the version, and what usage errors say: no MPI is started, every line fits 80 columns.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cd "$TMP"

# says CODE ARGS...: both streams into `output`, the exit code must be CODE
says() {
    want=$1 got=0
    shift
    "$ASVR" "$@" >output 2>&1 || got=$?
    [ "$got" = "$want" ] || { echo "asvr $*: exit $got, expected $want"; cat output; exit 1; }
}

says 0 help
for verb in init pack train eval chat serve verify bench spectrum report; do
    grep -qE "^  $verb +[a-z]" output || { echo "asvr help does not list $verb"; exit 1; }
done
cp output all
for page in init pack train eval chat serve verify bench spectrum plan status report submit import export options version; do
    if [ $page = version ]; then says 0 version; else says 0 help $page; fi
    [ -s output ]
    cat output >>all
done
says 0 train --help
grep -q 'asvr train CONFIG' output
if grep -nE '^.{81}' all; then echo "lines of more than 80 columns"; exit 1; fi

# The table is whole: one row a key, and each key once.
says 0 help options --markdown
grep -oE '^\| `[a-z_.]+ =' output | sort >rows
says 0 help options
grep -oE '^[a-z_.]+ =' output | sort >keys
[ "$(wc -l <rows)" -gt 60 ] && [ "$(wc -l <rows)" = "$(wc -l <keys)" ] && [ -z "$(uniq -d keys)" ]

# Nothing but the page goes to stdout, nothing but the complaint to stderr.
{ for args in "" "trian" "help trian" "verfy x" "train" "train a.cfg b.cfg" "train a.cfg --sett x=1" "train a.cfg --set" "verify" "verify x --set a=b" "verify x --watch" "status" "status x --wtch" "status x --set a=b" "report" "report a b --out=" "submit" "submit a.cfg --json" "init" "init --json" "init a --size="; do
    got=0
    "$ASVR" $args 2>err >out || got=$?
    [ ! -s out ] || { echo "asvr $args: a usage error wrote to stdout"; exit 1; }
    echo "asvr $args: exit $got"
    [ -z "$args" ] || cat err
done; } >usage
[ -z "${UPDATE:-}" ] || cp usage "$here/help.expected"          # UPDATE=1 tests/run.sh BUILD help, then read git diff
diff "$here/help.expected" usage
