# What `make install` puts in place: the program finds its configurations, batch scripts and modules from another folder, its page is well-formed,
# bash completes what it knows, packages ask for what setup.sh asks for, and `make uninstall` leaves nothing.
. "$(dirname "$0")/tools.inc"
root=$(dirname "$(dirname "$config")")
unset ASVR_MODULES ASVR_SLURM ASVR_SITE

out=$(realpath "$(dirname "$ASVR")")
made() { make -s -C "$root" "$@" OUT="$out" PREFIX=/opt/x ZSH_DIR=/opt/x/share/zsh/site-functions; }
made install-files DESTDIR="$TMP/to" >said 2>&1 || { cat said; fail "make install-files"; }
mv to/opt/x moved                                # a tree that was moved is whole
ASVR=$TMP/moved/bin/asvr data=$TMP/moved/share/asvr

# ---- the program, from another folder ----
mkdir elsewhere
cd elsewhere
says 0 0 submit configs/tiny.cfg --set slurm.dry=true
grep -qxF ". $data/slurm/job.sh" out && grep -qxF "job_run train $data/configs/tiny.cfg" out && grep -qxF "ASVR=$ASVR" out || { cat out err; fail "submit does not find the program's own files"; }
[ "$(cat err)" = "asvr: there is no configs/tiny.cfg here: taking the program's own, $data/configs/tiny.cfg" ] || { cat err; fail "it does not say whose configuration it takes"; }
ln -s "$ASVR" link
ASVR=./link says 0 0 plan configs/llava15-7b/instruct.cfg --set plan.nodes=1,2 --set plan.cluster=configs/clusters/epyc-hdr.cfg
[ "$(grep -c "the program's own" err)" = 2 ] || { cat err; fail "plan does not say whose files it takes"; }
says 78 0 plan configs/none.cfg
blames 'cannot read the configuration "configs/none.cfg"'
says 78 0 plan ./share/asvr/configs/tiny.cfg
mkdir configs
echo 'run: { seed = 77; };' >configs/tiny.cfg    # what is here comes first
says 0 0 help config configs/tiny.cfg
grep -q 'seed = 77' out && [ ! -s err ] || { cat out err; fail "the program's own configuration hides one that is here"; }
rm -r configs
mkdir pictures
for i in 1 2 3 4; do cp "$root/docs/contact-sheet.png" pictures/$i.png; echo "sheet $i" >pictures/$i.txt; done
says 0 0 pack configs/tiny.cfg "${small[@]}" --set data.val_samples=1 --set data.source=folder --set data.images=pictures     # asvr-image.so
cd "$TMP"
(   # what a batch script that lies in the installed folder runs
    export SLURM_JOB_ID=1
    scontrol() { :; }
    . "$data/slurm/job.sh"
    [ "$(realpath "$(job_program)")" = "$ASVR" ]
) || fail "job.sh does not find the program"
grep -q "^Version: $("$ASVR" version | sed 's/asvr \([^,]*\),.*/\1/')$" moved/share/pkgconfig/asvr.pc || fail "asvr.pc is of another version"

# ---- the page: every verb, key and exit code; groff and mandoc, where they are, have nothing to say ----
page=moved/share/man/man1/asvr.1
"$ASVR" help | sed -nE 's/^  ([a-z]+) {3,}.*/\1/p' >verbs
for v in $(cat verbs); do grep -q "^\.SS \"asvr $v " $page || fail "the page has no verb $v"; done
"$ASVR" help options | grep -oE '^[a-z_.0-9]+ =' | sort >keys
grep -oE '^\.B "[a-z_.0-9]+ =' $page | cut -d'"' -f2 | sort | diff keys - || fail "the page's keys are not the table's"
for code in 0 64 65 70 74 75 76 78 79 80; do grep -qx ".B \"$code\"" $page || fail "the page has no exit code $code"; done
[ "$(grep -cx '\.nf' $page)" = "$(grep -cx '\.fi' $page)" ] || fail "an example does not end"
! grep -nP '[^\x20-\x7e]|^\.(?!(\\"|TH|SH|SS|TP|PP|B|BR|I|br|nf|fi|ad|nh)\b)|\\(?![-e"(])' $page | grep -v '^1:' || fail "the page has what man does not know"
! command -v groff >/dev/null || [ -z "$(groff -man -ww -z $page 2>&1)" ] || fail "groff: $(groff -man -ww -z $page 2>&1 | head)"
! command -v mandoc >/dev/null || ! mandoc -T lint -W warning $page | grep -v 'missing date' || fail "mandoc has warnings"

# ---- bash ----
# completes WANT WORD...: as bash cuts them; the last one is at the cursor
cat >complete.bash <<'E2'
. "$1"; shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
f=$(complete -p asvr | sed 's/.*-F \([^ ]*\) .*/\1/')
$f asvr "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
printf '%s\n' "${COMPREPLY[@]}" | LC_ALL=C sort | paste -sd ' '
E2
completes() {
    local got
    got=$(cd elsewhere; PATH="$TMP/moved/bin:$PATH" bash --norc "$TMP/complete.bash" "$TMP/moved/share/bash-completion/completions/asvr" asvr "${@:2}" 2>&1)
    [ "$got" = "$1" ] || fail "bash completes ${*:2} to: $got; wanted $1"
}
touch elsewhere/{a.cfg,a.txt}
mkdir elsewhere/ab
[ "$(completes "" "" | sed 's/.*to: //; s/; wanted.*//' | tr ' ' '\n')" = "$({ cat verbs; echo help; echo version; } | LC_ALL=C sort -u)" ] || fail "bash completes other verbs than there are"
completes 'train' t
completes 'a.cfg ab' train a
completes 'configs/tiny.cfg' train configs/t
completes '--set' train a.cfg --
completes 'train.lr=' train a.cfg --set train.lr
completes 'parallel.threads=' train a.cfg --set train.lr = 1 --set parallel.th
completes 'constant cosine' train a.cfg --set train.schedule =
completes 'cosine' train a.cfg --set train.schedule = cos
completes 'train.schedule=cosine' train a.cfg --set train.schedule=cos
completes 'true' train a.cfg --set ckpt.async = t
completes 'a.cfg a.txt ab' train a.cfg --set data.json = a
completes '--json --watch' status --
completes 'a.cfg a.txt ab' status a
completes 'bash zsh' help completion ''
completes 'man' help ma
says 64 0 help completion fish
blames 'completions are for bash and for zsh'

# ---- packages ask for what setup.sh asks for, by version and by name ----
version=$("$ASVR" version | sed 's/asvr \([^,]*\),.*/\1/')
sed -n '/^Build-Depends:/,/^[A-Z][a-z-]*: /p' "$root/launch/packaging/debian/control" | grep -oE '[a-z0-9+-]+-?[a-z0-9]*' | grep -E '^(lib|openmpi|pkg-config|zlib)' | sort >debian
"$root/launch/scripts/setup.sh" build list | tr ' ' '\n' | grep -vxE 'gcc|g\+\+|make' | sort | diff - debian || fail "Build-Depends of debian/control are not the packages of setup.sh"
grep -q "^asvr ($version)" "$root/launch/packaging/debian/changelog" || fail "the changelog's version is not $version"
sed -n 's/.*spack install \(.*\) cmocka$/\1/p' "$root/launch/scripts/setup.sh" | tr ' ' '\n' | sort >spack
sed -n 's/^    depends_on("\([^"]*\)")$/\1/p' "$root/launch/packaging/spack/package.py" | tr ' ' '\n' | sort | diff spack - || fail "package.py depends on other packages than setup.sh names"
grep -q "version(\"$version\")" "$root/launch/packaging/spack/package.py" && grep -q "image.version $version\$" "$root/launch/packaging/apptainer/asvr.def" ||
    fail "a recipe's version is not $version"

# ---- and nothing is left ----
mkdir -p to/opt
mv moved to/opt/x
echo mine >to/opt/x/share/mine
made uninstall DESTDIR="$TMP/to" >said 2>&1 || { cat said; fail "make uninstall"; }
[ "$(find to ! -type d)" = to/opt/x/share/mine ] || { find to ! -type d; fail "uninstall leaves these, or takes too much"; }
[ ! -e to/opt/x/share/asvr ] && [ ! -e to/opt/x/lib/asvr ] || fail "uninstall leaves folders"
