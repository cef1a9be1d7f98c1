# The batch script of a configuration: what is in it, that every word arrives as it was typed, and what is refused.
. "$(dirname "$0")/tools.inc"

# A job.sh that tells what it was given; sbatch that keeps the script and names a job.
mkdir 'sl urm'
cat >'sl urm/job.sh' <<'E2'
job_run() { printf '%s\0' "$ASVR" "${ASVR_SITE-none}" "${ASVR_RANKS_PER_NODE-none}" "${ASVR_THREADS-none}" "$ASVR_BUDGET" "$@"; }
E2
export ASVR_SLURM="$PWD/sl urm"
asvr=$(realpath "$ASVR")
program() { "$ASVR" submit "$config" --set slurm.dry=true "$@" >script 2>err || { cat err; fail "submit $*: exit $?"; }; }
has() { for line; do grep -qxF -- "$line" script || { cat script; fail "the script lacks: $line"; }; done; }
# arrives WORD...: bash, running the script, calls job_run with these, behind the variables
arrives() {
    printf '%s\0' "$@" >want
    bash script >got
    cmp want got || { cat script; tr '\0' '\n' <got; fail "words do not arrive as they were typed"; }
}

# ---- plain ----
program
has '#!/bin/bash' '#SBATCH --job-name="asvr-train-tiny"' '#SBATCH --nodes="1"' '#SBATCH --signal="USR1@120"' '#SBATCH --requeue' '#SBATCH --exclusive' \
    "#SBATCH --output=\"$PWD/runs/tiny/submit/%x-%j.log\""
! grep -qE 'partition|account|dependency|exclude' script || { cat script; fail "lines of keys that are not set"; }
[ ! -e runs ] || fail "dry, it wrote something"
arrives "$asvr" none none none 5 train "$config"

# ---- every key; words with all that bash and sbatch could take amiss ----
nasty=$'it\'s "a" $(touch bad) `touch bad` \\ $HOME * ;\n#SBATCH --x  \ttab\'\' é'
: >'si te'
program --set slurm.nodes=2-3 --set slurm.ranks_per_node=4 --set slurm.threads=8 --set slurm.time=1-12:00:00 --set slurm.partition=p1,p2 \
    --set slurm.account='a "b" \c' --set slurm.qos=q --set slurm.constraint='[a&b]' --set slurm.exclude='n[1-2],n7' --set slurm.reservation=r \
    --set slurm.name='my job/1' --set slurm.lead=300 --set slurm.verb=pack --set slurm.chain=2 --set slurm.budget=5 --set slurm.extra='--mem=0 --gres=x:1' \
    --set slurm.site='si te' --set slurm.exclusive=false --set "chat.question=$nasty" --set 'run.dir=r "%x" d' --set data.system=
has '#SBATCH --job-name="my-job-1"' '#SBATCH --nodes="2-3"' '#SBATCH --time="1-12:00:00"' '#SBATCH --partition="p1,p2"' '#SBATCH --account="a \"b\" \\c"' \
    '#SBATCH --qos="q"' '#SBATCH --constraint="[a&b]"' '#SBATCH --exclude="n[1-2],n7"' '#SBATCH --reservation="r"' '#SBATCH --signal="USR1@300"' \
    '#SBATCH --dependency="singleton"' '#SBATCH --mem=0 --gres=x:1' "#SBATCH --chdir=\"$PWD\"" "#SBATCH --output=\"$PWD/r \\\"%%x\\\" d/submit/%x-%j.log\""
! grep -q exclusive script || fail "slurm.exclusive is not heard"
arrives "$asvr" "$PWD/si te" 4 8 5 pack "$config" --set "chat.question=$nasty" --set 'run.dir=r "%x" d' --set data.system=
[ ! -e bad ] || fail "a value was run"
mkdir 'a b'
cp "$config" "a b/it's.cfg"
config="a b/it's.cfg" program
arrives "$asvr" none none none 5 train "$PWD/a b/it's.cfg"

# ---- keys of slurm do not change what a run is; tests/slurm/submit.sh hands scripts to the real sbatch ----
hash_of() { "$ASVR" help config "$config" "$@" | grep '^# hash'; }
[ "$(hash_of)" = "$(hash_of --set slurm.nodes=7 --set slurm.verb=eval --set slurm.budget=1)" ] || fail "the hash depends on where a run is submitted to"

# ---- nodes that failed twice are left out ----
mkdir run
k=0
for n in n1 n2 n1 n3; do
    printf '{"event": "start", "time": 1, "life": "%s%d"}\n{"event": "watch", "time": 2, "life": "%s%d", "rank": 1, "host": "%s", "why": "x"}\n' $n $((++k)) $n $k $n
done >run/lives.jsonl
program --set run.dir=run --set slurm.exclude=n9 --set slurm.exclude_failed=true
has '#SBATCH --exclude="n9,n1"'
grep -q '^asvr: node n1 is left out: 2 lives of this run ended by it$' err || { cat err; fail "it does not say which node it leaves out"; }
program --set run.dir=run
! grep -q exclude= script || fail "nodes are left out unasked"

# ---- what is refused: once, with its place, and nothing is written ----
refused() { says 78 0 submit "$config" --set run.dir=new "${@:2}"; blames "$1"; [ ! -s out ] && [ ! -e new ] || fail "$*: it wrote something"; }
refused 'train.global_batch = 16 is no multiple of train.micro_batch = 4 times 3 replicas' --set slurm.nodes=3 --set slurm.ranks_per_node=1
says 0 0 submit "$config" --set slurm.dry=true --set slurm.nodes=3-4
for nodes in 0 x 3-2 2- -2 1,2 '+2' ' 2' 2-3-4; do refused 'is no number of nodes' --set "slurm.nodes=$nodes"; done
refused 'slurm.time = "soon" is no time' --set slurm.time=soon
refused 'slurm.account has a line break' --set slurm.account=$'a\n#SBATCH --x'
refused 'there is no such site file' --set slurm.site=nowhere
refused '`asvr train` needs run.dir' --set run.dir=
refused '`asvr submit` needs run.dir' --set run.dir= --set slurm.verb=pack
refused '`asvr train` needs data.set' --set data.set=
cp "$ASVR" moved
ASVR_SLURM= ASVR=./moved refused 'there is no slurm/job.sh in the tree of this program'
ASVR_SLURM=nowhere refused 'there is no job.sh where ASVR_SLURM says'
# without Slurm, or without an answer, the script is kept
PATH=$PWD/none says 78 0 submit "$config" --set run.dir=kept
blames 'there is no sbatch here' kept/submit/asvr-train-kept-1.sbatch
