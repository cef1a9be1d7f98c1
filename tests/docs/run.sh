#!/bin/bash
# tests/docs/run.sh [BUILD] [PAGE]...: `make docs-test`: runs what README and docs mark in the first line of a fence, behind the language:
#
#   ```sh test              bash, ended by the first command that fails; exit=78: the code that the last one must end with
#   ```console test         lines that begin with "$ " are commands, what stands below one is what it says (exit= likewise)
#   ```text test            stands somewhere in what the block before said
#   ```python file=a.py     is the file a.py for the blocks behind it, in any language
#   <!-- test: make x -->   a command that readers need not see: what a block needs; a line for itself, exit= likewise
#
# A page has a copy of the tree to itself, with BUILD as its build/ and in PATH, and its blocks run there one behind the other.  In what is said
# words with a digit in them may be others with a digit, blanks others, and a line "..." any number of lines (said.awk).
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/cases.inc
export PATH=$build:$PATH
here=$PWD/tests/docs

# page FILE: its blocks, in a folder of their own
page() {
    local page=$1 tree=$work/tree line lang words
    mkdir -p "$work/blocks"
    awk -v to="$work/blocks/" -f "$here/blocks.awk" "$page" >"$work/marked"
    [ -s "$work/marked" ] || return 0
    mkdir -p "$tree/build"
    tar cf - core dist io launch configs tests slurm docs Makefile README.md CONTRIBUTING.md LICENSE | tar xf - -C "$tree"
    ln -s "$build" "$tree/build/debug"
    ln -s "$build"/asvr* "$tree/build/"
    while read -r line lang words; do
        case $words in
        file=*) cp "$work/blocks/$line" "$tree/${words#file=}" ;;
        test | "test exit="*) case_run "$page:$line" bash "$here/block.sh" "$tree" "$work/blocks/$line" "$lang" "${words#test}" ;;
        *) case_run "$page:$line" sh -c 'echo "a mark that nobody knows: $0"; exit 1' "$words" ;;
        esac
    done <"$work/marked"
    rm -rf "$tree" "$work/blocks"
}

{
    case_run site launch/scripts/site.py "$work/site"
    for f in README.md docs/*.md slurm/README.md CONTRIBUTING.md; do page "$f"; done
} | tee "$work/said"
counted
