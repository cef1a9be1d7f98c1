# Names with brackets, braces and commas, a configuration with a byte order mark, a standard output that is full.
. "$(dirname "$0")/tools.inc"

odd="run [1], {a,b} ?"
mkdir "$odd"
small+=(--set "text.model=$odd/text.model" --set "data.set=$odd/data/index.set" --set train.steps=2)
says 0 2 pack "$config" "${small[@]}"
says 0 2 train "$config" "${small[@]}" --set "run.dir=$odd/run"
says 0 0 verify "$odd/data/index.set"
# A list of two sets and of two checkpoints is one still, unless its whole text is a name.
cp -r "$odd/data" more
cp -r "$odd/run" start
says 0 0 train "$config" "${small[@]}" --set run.dir=mixed --set "data.set=more/index.set:2, more/index.set:1" --set "train.init=start, start"
says 0 0 train "$config" "${small[@]}" --set run.dir=begun --set "train.init=$odd/run"
says 65 0 train "$config" "${small[@]}" --set run.dir=none --set "data.set=$odd/data/index.set, more/index.set"
# The globs of the version before: the folder is meant by its letters, and so is a file that has the name.
sed 's/^ *set = .*/};/' "$config" >plain.cfg
alone=(--set "text.model=$odd/text.model" --set train.steps=2 --set train.global_batch=8 --set parallel.threads=1 --set ckpt.every=0)
says 0 0 train plain.cfg "${alone[@]}" --set run.dir=globbed --set "data.shards=$odd/data/train-*.h5"
same_losses globbed "$odd/run"
cp "$odd"/data/train-00000-*.h5 "one [1].h5"
says 0 0 train plain.cfg "${alone[@]}" --set run.dir=one --set "data.shards=one [1].h5"
says 65 0 train plain.cfg "${alone[@]}" --set run.dir=other --set "data.shards=one [2].h5"

# ---- a byte order mark ----
printf '\357\273\277' | cat - "$config" >mark.cfg
says 0 0 help config mark.cfg
cp out with
says 0 0 help config "$config"
cmp out with || fail "a byte order mark changes the configuration"

# ---- a full disk behind standard output ----
for asked in "help" "version" "help options" "plan $config" "help config $config"; do
    got=0
    "$ASVR" $asked >/dev/full 2>err || got=$?
    [ $got = 74 ] || { cat err; fail "asvr $asked on a full disk: exit $got"; }
    blames 'cannot write what was asked for' 'standard output'
done
