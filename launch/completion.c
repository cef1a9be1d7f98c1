#include "launch/completion.h"

#include <string.h>

#include "launch/config/options.h"

static const char HELP_WORDS[] = "options man completion config";

/* What completes, behind the tables that both shells read. */
static const char BASH[] =
    "_asvr() {\n"
    "    local cur=${COMP_WORDS[COMP_CWORD]} at=$COMP_CWORD verb=${COMP_WORDS[1]} key= own line\n"
    "    COMPREPLY=()\n"
    "    # bash cuts words at =, and zsh's bashcompinit does not\n"
    "    if [[ $cur = *=* && ${COMP_WORDS[at-1]} = --set ]]; then key=${cur%%=*}\n"
    "    elif [[ $cur = = && ${COMP_WORDS[at-2]} = --set ]]; then key=${COMP_WORDS[at-1]} cur=\n"
    "    elif ((at > 3)) && [[ ${COMP_WORDS[at-1]} = = && ${COMP_WORDS[at-3]} = --set ]]; then key=${COMP_WORDS[at-2]}\n"
    "    fi\n"
    "    _asvr_lines() { while IFS= read -r line; do COMPREPLY+=(\"$line\"); done; }\n"
    "    if ((at == 1)); then\n"
    "        _asvr_lines < <(compgen -W \"$_asvr_verbs help version\" -- \"$cur\")\n"
    "    elif [[ $verb = help && $at = 2 ]]; then\n"
    "        _asvr_lines < <(compgen -W \"$_asvr_verbs $_asvr_help\" -- \"$cur\")\n"
    "    elif [[ $verb = help && ${COMP_WORDS[2]} = options ]]; then\n"
    "        _asvr_lines < <(compgen -W --markdown -- \"$cur\")\n"
    "    elif [[ $verb = help && ${COMP_WORDS[2]} = completion ]]; then\n"
    "        _asvr_lines < <(compgen -W 'bash zsh' -- \"$cur\")\n"
    "    elif [ -n \"$key\" ]; then\n"
    "        case \" $_asvr_texts \" in\n"
    "        *\" $key \"*) compopt -o filenames 2>/dev/null; _asvr_lines < <(compgen -f -- \"${cur#*=}\") ;;\n"
    "        *) _asvr_lines < <(compgen -W \"$(_asvr_values \"$key\")\" -- \"${cur#*=}\") ;;\n"
    "        esac\n"
    "        [[ $cur != *=* ]] || COMPREPLY=(\"${COMPREPLY[@]/#/$key=}\")\n"
    "    elif [ \"${COMP_WORDS[at-1]}\" = --set ]; then\n"
    "        compopt -o nospace 2>/dev/null\n"
    "        _asvr_lines < <(compgen -S = -W \"$_asvr_keys\" -- \"$cur\")\n"
    "    elif [[ $cur = -* ]]; then\n"
    "        _asvr_lines < <(compgen -W \"$(_asvr_flags \"$verb\")\" -- \"$cur\")\n"
    "    elif [[ \" $_asvr_paths \" = *\" $verb \"* ]]; then\n"
    "        compopt -o filenames 2>/dev/null\n"
    "        _asvr_lines < <(compgen -f -- \"$cur\")\n"
    "    else\n"
    "        compopt -o filenames 2>/dev/null\n"
    "        _asvr_lines < <(compgen -d -- \"$cur\"; compgen -f -X '!*.cfg' -- \"$cur\")\n"
    "        own=$(type -P \"${COMP_WORDS[0]}\") && own=$(readlink -f \"$own\") && own=${own%/*}/../share/asvr || own=\n"
    "        [ -n \"${COMPREPLY[*]}\" ] || _asvr_lines < <(cd \"$own\" 2>/dev/null && compgen -W \"$(find configs -name '*.cfg')\" -- \"$cur\")\n"
    "    fi\n"
    "}\n"
    "complete -F _asvr asvr\n";

static const char ZSH[] =
    "_asvr() {\n"
    "    local key own verb=$words[2]\n"
    "    if (( CURRENT == 2 )); then\n"
    "        _describe -t verbs verb _asvr_verb_lines\n"
    "    elif [[ $verb = help && $CURRENT = 3 ]]; then\n"
    "        compadd -- ${=_asvr_verbs} ${=_asvr_help}\n"
    "    elif [[ $verb = help && $words[3] = options ]]; then\n"
    "        compadd -- --markdown\n"
    "    elif [[ $verb = help && $words[3] = completion ]]; then\n"
    "        compadd -- bash zsh\n"
    "    elif [[ $words[CURRENT-1] = --set ]] && compset -P 1 '*='; then\n"
    "        key=${IPREFIX%%=*}\n"
    "        if [[ \" $_asvr_texts \" = *\" $key \"* ]]; then _files; else compadd -- $(_asvr_values $key); fi\n"
    "    elif [[ $words[CURRENT-1] = --set ]]; then\n"
    "        _describe -t keys key _asvr_key_lines -S = -q\n"
    "    elif [[ $PREFIX = -* ]]; then\n"
    "        compadd -- $(_asvr_flags $verb)\n"
    "    elif [[ \" $_asvr_paths \" = *\" $verb \"* ]]; then\n"
    "        _files\n"
    "    else\n"
    "        own=${${commands[$words[1]]:-$words[1]}:A:h}/../share/asvr\n"
    "        _files -g '*.cfg' || compadd -f -- $own/configs/**/*.cfg(N:s,$own/,,)\n"
    "    fi\n"
    "}\n"
    "if [ \"$funcstack[1]\" = _asvr ]; then _asvr \"$@\"; else compdef _asvr asvr; fi\n";

/* Inside single quotes. */
static void quoted(FILE *f, const char *s)
{
    for (; *s; s++)
        fputs(*s == '\'' ? "'\\''" : (char[2]){ *s, 0 }, f);
}

static void verb_words(FILE *f, const char *name, const Verb *verbs, int n, bool paths)
{
    fprintf(f, "%s='", name);
    for (int i = 0; i < n; i++)
        if (!paths || words_path(&verbs[i]))
            fprintf(f, "%s ", verbs[i].name);
    fputs("'\n", f);
}

static void key_words(FILE *f, const char *name, bool texts)
{
    fprintf(f, "%s='", name);
    for (int i = 0; i < n_options; i++)
        if (!texts || options[i].type == STRING)
            fprintf(f, "%s ", options[i].key);
    fputs("'\n", f);
}

/* --watch, and of --out=FILE what is typed before the name. */
static void flag_words(FILE *f, const Verb *v)
{
    fprintf(f, "    %s) printf '%%s\\n'", v->name);
    for (const char *s = v->flags ? v->flags : ""; *s; s += strcspn(s, " "), s += strspn(s, " ")) {
        const size_t word = strcspn(s, " "), equals = strcspn(s, "=") + 1;
        if (*s == '-')
            fprintf(f, " %.*s", (int)(equals < word ? equals : word), s);
    }
    fputs(" ;;\n", f);
}

/* What both shells read: the words, and two functions of a `case` each. */
static void tables(FILE *f, const Verb *verbs, int n)
{
    verb_words(f, "_asvr_verbs", verbs, n, false);
    verb_words(f, "_asvr_paths", verbs, n, true);
    fprintf(f, "_asvr_help='%s'\n", HELP_WORDS);
    key_words(f, "_asvr_keys", false);
    key_words(f, "_asvr_texts", true);
    fputs("_asvr_values() {\n    case $1 in\n", f);
    for (int i = 0; i < n_options; i++)
        if (options[i].type == BOOL || options[i].type == ENUM) {
            fprintf(f, "    %s) printf '%%s\\n'", options[i].key);
            for (const char *s = options[i].type == BOOL ? "true|false" : options[i].words; *s; s += strcspn(s, "|"), s += *s == '|')
                fprintf(f, " %.*s", (int)strcspn(s, "|"), s);
            fputs(" ;;\n", f);
        }
    fputs("    esac\n}\n_asvr_flags() {\n    case $1 in\n", f);
    for (int i = 0; i < n; i++)
        if (words_path(&verbs[i]))
            flag_words(f, &verbs[i]);
    fputs("    *) printf '%s\\n' --set ;;\n    esac\n}\n", f);
}

/* What zsh shows beside a verb and a key. */
static void descriptions(FILE *f, const Verb *verbs, int n)
{
    fputs("typeset -ga _asvr_verb_lines _asvr_key_lines\n_asvr_verb_lines=(\n", f);
    for (int i = 0; i < n; i++) {
        fprintf(f, "    '%s:", verbs[i].name);
        quoted(f, verbs[i].line);
        fputs("'\n", f);
    }
    fputs("    'help:how to call a verb; every key'\n    'version:of the program, and its vectors'\n)\n_asvr_key_lines=(\n", f);
    for (int i = 0; i < n_options; i++) {
        fprintf(f, "    '%s:", options[i].key);
        quoted(f, options[i].help);
        fputs("'\n", f);
    }
    fputs(")\n", f);
}

bool completion_print(FILE *f, const char *shell, const Verb *verbs, int n)
{
    const bool bash = !strcmp(shell, "bash"), zsh = !strcmp(shell, "zsh");
    if (!bash && !zsh)
        return false;
    fprintf(f, "%s# %s completion of asvr " VERSION ", written by `asvr help completion %s`\n", zsh ? "#compdef asvr\n" : "", shell, shell);
    tables(f, verbs, n);
    if (zsh)
        descriptions(f, verbs, n);
    fputs(bash ? BASH : ZSH, f);
    return true;
}
