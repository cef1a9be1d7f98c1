# What zsh makes of a line that is typed into a real one, behind a pseudo-terminal, and completed: tests/launch/install.sh has bash's.
set -eu
mkdir -p "$TMP/to" "$TMP/elsewhere"
make -s install-files OUT="$build" PREFIX=/usr DESTDIR="$TMP/to" >/dev/null
to=$TMP/to/usr
touch "$TMP"/elsewhere/{a.cfg,a.txt}
cat >"$TMP/type.zsh" <<'E2'
zmodload zsh/zpty
zpty shell 'PS1= HOME=/nonexistent zsh -f -i'
until_said() { while zpty -r shell line; do print -r -- "$line"; [[ $line = *$1* ]] && break; done }
zpty -w shell "cd $2; fpath=($1 \$fpath); autoload -Uz compinit; compinit -u -D; stty columns 200 -echo"
zpty -w shell "print -r -- REA'DY'"
until_said READY
zpty -w -n shell "asvr $3"$'\t'
sleep 1
zpty -w -n shell $'\C-a\C-k'
zpty -w shell "print -r -- EN'D'"
until_said END
zpty -d shell
E2
# shows TYPED SEEN
shows() {
    PATH="$to/bin:$PATH" timeout 30 zsh -f "$TMP/type.zsh" "$to/share/zsh/site-functions" "$TMP/elsewhere" "$1" 2>&1 | sed 's/\x1b[[][0-9;?]*[A-Za-z]//g' >"$TMP/seen"
    grep -qF -- "$2" "$TMP/seen" || { cat -v "$TMP/seen"; echo "zsh does not make \"$2\" of: asvr $1"; exit 1; }
}
shows tr 'asvr train'
shows 'train a' 'train a.cfg'
shows 'plan configs/ti' 'plan configs/tiny.cfg'
shows 'train a.cfg --set train.sched' train.schedule=
shows 'train a.cfg --set train.schedule=cos' train.schedule=cosine
shows 'status --w' 'status --watch'
shows 'help completion z' 'completion zsh'
