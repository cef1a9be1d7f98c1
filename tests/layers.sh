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

in_code '^core/' | xargs grep -nE '#include "(dist|io|launch)/|#include <(mpi|hdf5)\.h>' | law 'core knows a higher layer'
in_code '^dist/' | xargs grep -nE '#include "(io|launch)/'    | law 'dist knows io or launch'
in_code '^io/'   | xargs grep -nE '#include "(dist|launch)/'  | law 'io knows dist or launch'
in_code '^(core|dist|io|launch)/' | xargs grep -nE '#include "tests/' | law 'the program includes a test'

printf '%s\n' "${code[@]}" | xargs grep -nE '#include "[^/"]*"' | law 'includes are written from the root'
printf '%s\n' "${code[@]}" | xargs grep -hoE '#include "[^"]+"' | cut -d'"' -f2 | sort -u |
    while read -r name; do [ -f "$name" ] || echo "$name"; done | law 'an include that is not there'

in_code '\.cc?$' | grep -vE '^core/(base\.c|cuda/)' | xargs grep -nE '^[[:space:]]*#[[:space:]]*(if|ifdef|ifndef)\b' | law 'no #ifdef in a .c file'

# Calls are MPI_Xxx(; types and constants may be named anywhere.
call='\bMPI_[A-Z][a-z][A-Za-z_]*\('
in_code '^(core|io)/' | grep -vE '^io/(h5|shard|ckpt|catalogue)[a-z]*\.[ch]$' | xargs grep -nE "$call" | law 'MPI is called in dist and parallel-file code only'
in_code '^launch/' | xargs grep -nE "$call" | grep -vE '^launch/main\.c:.*\bMPI_(Init_thread|Finalize|Abort)\(' | law 'launch only starts and ends MPI'

for f in "${code[@]}"; do
    lines=$(wc -l <"$f")
    case $f in tests/golden/*) continue ;; *.h) most=$H_LINES ;; *) most=$C_LINES ;; esac
    [ "$lines" -le "$most" ] || echo "$f has $lines lines, more than $most"
done | law 'size'
# A function's body stands between a { and a } in the first column.
in_code '\.(c|cc|h)$' | xargs awk -v most=$FUNCTION_LINES '
    FNR == 1 { open = 0 }
    /^{/ { open = FNR }
    /^}/ && open { if (FNR - open + 2 > most) printf "%s:%d: a function of %d lines, more than %d\n", FILENAME, open, FNR - open + 2, most; open = 0 }' |
    law 'size'

printf '%s\n' "${code[@]##*/}" | sort | uniq -d | law 'a file name that is not unique'
for f in $(in_code '^(core|dist|io|launch)/.*\.h$'); do
    [ "$(head -n 1 "$f")" = '/*' ] && sed -n 2p "$f" | grep -qF " * ${f##*/} -- " || echo "$f"
done | law 'a header opens with  /* NAME.h -- one sentence'

grep -nwE 'TODO|FIXME|XXX' "${all[@]}" | law 'a leftover'
grep -nE -- '^[^#]*(-ffast-math|-Ofast)' Makefile | law 'a flag that may delete NaN checks'
for f in "${all[@]}"; do
    [ ! -s "$f" ] || [ -z "$(tail -c 1 "$f")" ] || echo "$f"
done | law 'no newline at the end'
grep -nE '[[:space:]]+$' "${all[@]}" | grep -v '\.md:' | law 'white space at the end of a line'

cat "$breaches"
[ ! -s "$breaches" ]
