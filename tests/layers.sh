#!/bin/bash
# tests/layers.sh: the laws that a machine can check.  Prints every breach; ends with 1 if there is one.
#   arrows point down, includes from the root       no #ifdef in .c files        MPI in dist/ and io's parallel files
#   sizes of files and functions, unique names      headers open with a comment  no leftovers, no -ffast-math
set -u
cd "$(dirname "$0")/.." || exit 1

C_LINES=420 H_LINES=130 FUNCTION_LINES=70      # the laws say about 400, 120 and 60

mapfile -t code < <(find core dist io launch tests -type f \( -name '*.c' -o -name '*.h' -o -name '*.cc' \) | LC_ALL=C sort)
mapfile -t all  < <(find core dist io launch tests slurm configs docs .ci Makefile -type f \
                         \( -name '*.[ch]' -o -name '*.cc' -o -name '*.sh' -o -name '*.py' -o -name '*.md' -o -name '*.cfg' \
                            -o -name '*.sbatch' -o -name Makefile -o -path .ci/run \) ! -path tests/layers.sh | LC_ALL=C sort)
in_code() { printf '%s\n' "${code[@]}" | grep -E "$1"; }

# law WHAT: every line of standard input is a breach of it.
breaches=$(mktemp)
trap 'rm -f "$breaches"' EXIT
law() { sed "s|^|$1: |" >>"$breaches"; }

# Rooms, each with the rooms it may know (itself always).  What is not in the table is no room.
rooms='
core          :
core/ref      : core
core/cpu      : core core/ref
core/dnnl     : core core/cpu
dist          : core
io/base       : core
io/h5         : core io/base
io/set        : core io/base io/h5
io/ckpt       : core io/base io/h5
io/hf         : core io/base
io/text       : core io/base
io/image      : core io/base
io/source     : core io/base io/text io/image
io/scenes     : core io/base io/image
io/bench      : core io/base
launch        : *
launch/config : core dist io/base io/image io/text
launch/pack   : core dist io/base io/set io/text io/image io/source io/scenes launch launch/config launch/eval
launch/plan   : core dist io/base io/set launch launch/config
launch/hf     : core dist io/base io/ckpt io/hf io/text launch launch/config
launch/eval   : core dist io/base io/set io/text io/image launch launch/config
launch/chat   : core io/base io/text io/image
launch/serve  : core io/base io/text io/image
launch/kits   : core dist io/base io/bench io/image io/source launch launch/config launch/eval
launch/bench  : core dist io/base launch launch/config launch/plan
launch/scaling : core dist io/base launch launch/config launch/plan launch/bench
launch/spectrum : core dist io/base io/set launch launch/config
launch/status : core io/base launch
launch/init   : core dist io/base io/hf io/text io/image io/source launch launch/config launch/hf launch/plan launch/status
launch/report : core io/base launch launch/config launch/status
'
# Every arrow that leaves a room: "FILE:LINE: ROOM knows ROOM".
printf '%s\n' "${code[@]}" | xargs awk -v rooms="$rooms" '
    BEGIN { n = split(rooms, line, "\n"); for (i = 1; i <= n; i++) { split(line[i], is, " *: *"); may[is[1]] = " " is[1] " " is[2] " " } }
    FNR == 1 { room = FILENAME; sub(/\/[^\/]*$/, "", room) }
    room in may && /^#include "[^"]+\/[^"\/]+"/ {
        to = $2; gsub(/^"|\/[^\/]*$/, "", to)
        if (!index(may[room], " " to " ") && !index(may[room], " * ")) print FILENAME ":" FNR ": " room " knows " to }' |
    law 'an arrow between rooms that the table has not'
known=$(sed -nE 's/^([a-z0-9/]+) *:.*/\1/p' <<<"$rooms" | tr '\n' ' ')
for f in "${code[@]}"; do                       # tests of io mirror its rooms
    d=${f%/*}
    case $d in tests/io/*) d=${d#tests/} ;; tests | tests/*) continue ;; esac
    case " $known" in *" $d "*) ;; *) echo "$f" ;; esac
done | law 'in no room'
in_code '^(core|io/(base|set|hf|text|image|source|scenes))/' | xargs grep -nE '#include <hdf5\.h>' | law 'HDF5 outside io/h5 and io/ckpt'
in_code '^core/' | xargs grep -nE '#include <mpi\.h>' | law 'core knows MPI'
in_code '^(core|dist|io|launch)/' | xargs grep -nE '#include "tests/' | law 'the program includes a test'

printf '%s\n' "${code[@]}" | xargs grep -nE '#include "[^/"]*"' | law 'includes are written from the root'
printf '%s\n' "${code[@]}" | xargs grep -hoE '#include "[^"]+"' | cut -d'"' -f2 | sort -u |
    while read -r name; do [ -f "$name" ] || echo "$name"; done | law 'an include that is not there'

in_code '\.cc?$' | grep -vE '^core/(base\.c|cuda/)' | xargs grep -nE '^[[:space:]]*#[[:space:]]*(if|ifdef|ifndef)\b' | law 'no #ifdef in a .c file'

# Calls are MPI_Xxx(; types and constants may be named anywhere.
call='\bMPI_[A-Z][a-z][A-Za-z_]*\('
in_code '^(core|io)/' | grep -vE '^io/(h5|set|ckpt)/|^io/base/agree\.c' | xargs grep -nE "$call" | law 'MPI is called in dist and parallel-file code only'
in_code '^launch/' | xargs grep -nE "$call" | grep -vE '^launch/main\.c:.*\bMPI_(Init_thread|Finalize|Abort)\(' | law 'launch only starts and ends MPI'

in_code '^(core|dist|io|launch)/' | grep -v '^io/base/files\.c$' | xargs grep -nE '\brename\(' | law 'a rename that may not last: file_commit'

# Law 2: what TAKE takes and param names is a tensor's, and the model's files subscript or copy none: ops do.  Names are those that the
# file itself gives (t->q = TAKE(..), w->pos = param(..)), and the whole model's (m->weights) and its tape's (t->rows).
tensors() { grep -hoE "\b($2)->[a-z_0-9]+ *= *(keep \? )?($3)\(" "$1" | sed -E 's/^[a-z]+->([a-z_0-9]+).*/\1/' | sort -u | paste -sd '|'; }
model=$(tensors core/asvr.c m TAKE) tape=$(tensors core/tape.c t TAKE)
for f in $(in_code '^core/[a-z]+\.c$'); do
    taken=$(tensors "$f" 's|t|d' TAKE) named=$(tensors "$f" 'w|k' 'param|param_linear')
    grep -nHE "\bm->($model)\[|\bt->($tape)\[|\b(s|t|d)->(${taken:-none})\[|\bd?[wk]->(${named:-none})(\.w)?\[" "$f"
    case ${f##*/} in arena.c | base.c | bits.c | exact.c | fault.c | limits.c | opsums.c | par.c | param.c | prof.c | slice.c) ;; *) grep -nHE '\bmem(cpy|move|set)\(' "$f" ;; esac
done | law 'a tensor is touched outside of the ops'

printf '%s\n' "${code[@]}" | grep -v '^tests/golden/' | xargs wc -l | awk -v c=$C_LINES -v h=$H_LINES '
    { most = $2 ~ /\.h$/ ? h : c } $2 != "total" && $1 > most { print $2 " has " $1 " lines, more than " most }' | law 'size'
# A function's body stands between a { and a } in the first column.
in_code '\.(c|cc|h)$' | xargs awk -v most=$FUNCTION_LINES '
    FNR == 1 { open = 0 }
    /^{/ { open = FNR }
    /^}/ && open { if (FNR - open + 2 > most) printf "%s:%d: a function of %d lines, more than %d\n", FILENAME, open, FNR - open + 2, most; open = 0 }' |
    law 'size'

printf '%s\n' "${code[@]##*/}" | sort | uniq -d | law 'a file name that is not unique'
in_code '^(core|dist|io|launch)/.*\.h$' | xargs awk '
    FNR == 1 { if (bad) print bad; bad = name = FILENAME; sub(/.*\//, "", name); first = $0 }
    FNR == 2 && first == "/*" && index($0, " * " name " -- ") == 1 { bad = "" }
    END { if (bad) print bad }' |
    law 'a header opens with  /* NAME.h -- one sentence'

# Where a weight may have a low-rank pair, products go by core/lora.h: the ops alone would leave it out.
grep -nE '\bop\.linear_(fwd|dx|dw)\(' core/{llama,encoder,residual}.c core/stripe.h | law 'a product past its low-rank pair'
grep -nwE 'TODO|FIXME|XXX' "${all[@]}" | law 'a leftover'
grep -nE -- '^[^#]*(-ffast-math|-Ofast)' Makefile | law 'a flag that may delete NaN checks'
find "${all[@]}" -size +0 -print0 | LC_ALL=C xargs -0 grep -LzP '\n\z' | law 'no newline at the end'
grep -nE '[[:space:]]+$' "${all[@]}" | grep -v '\.md:' | law 'white space at the end of a line'

cat "$breaches"
[ ! -s "$breaches" ]
