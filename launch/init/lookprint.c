/* lookprint.c -- what was seen, for people (look.h) */
#include <string.h>

#include "io/source/sources.h"
#include "launch/init/look.h"
#include "launch/status/units.h"

enum { SAID = 12 };

static const char *s(int64_t n) { return n == 1 ? "" : "s"; }

static void print_records(const Look *l, FILE *f)
{
    fprintf(f, "records   %lld%s", (long long)l->records, l->bad ? "" : ", none of them broken");
    if (l->bad)
        fprintf(f, "; %lld cannot be used", (long long)l->bad);
    if (l->kinds[KIND_TEXT])
        fprintf(f, "; %lld without a picture", (long long)l->kinds[KIND_TEXT]);
    if (l->kinds[KIND_PICTURES])
        fprintf(f, "; %lld with several", (long long)l->kinds[KIND_PICTURES]);
    if (l->twice)
        fprintf(f, "; %lld say%s what another one says", (long long)l->twice, l->twice == 1 ? "s" : "");
    fputc('\n', f);
}

static void print_pictures(const Look *l, FILE *f)
{
    if (!l->pictures)
        return;
    fprintf(f, "pictures  %lld", (long long)l->pictures);
    if (l->sized) {
        const int64_t n = l->sized, least = min64(l->w[0], l->h[0]), most = max64(l->w[n - 1], l->h[n - 1]);
        fprintf(f, "; %d x %d is the median, sides from %lld to %lld", l->w[n / 2], l->h[n / 2], (long long)least, (long long)most);
    }
    if (l->sized && l->sized < l->pictures)
        fprintf(f, " (of %lld headers)", (long long)l->sized);
    if (!l->decoded) {
        fputc('\n', f);
        return;
    }
    fprintf(f, "; %lld decoded", (long long)l->decoded);
    fprintf(f, l->broken ? ", %lld of them cannot be\n" : ", all of them whole\n", (long long)l->broken);
}

static void print_text(const Look *l, FILE *f)
{
    const ScriptCount *t = &l->text;
    fprintf(f, "turns     %.3g a record, %lld at most\n", (double)l->turns / (double)l->records, (long long)l->most_turns);
    fprintf(f, "text      %lld characters, %d different ones; a record has %.0f, the longest %lld", (long long)t->chars, t->distinct,
            (double)t->chars / (double)l->records, (long long)l->longest);
    if (look_most(l) < l->longest)
        fprintf(f, ", 99 of 100 at most %lld", (long long)look_most(l));
    fprintf(f, "\nwriting   ");
    bool first = true;
    for (int k = 0; k < SCRIPTS; k++)
        if (t->of[k] * 1000 >= t->letters && t->of[k]) {
            fprintf(f, "%s%s %.3g %%", first ? "" : ", ", script_name(k), 100 * (double)t->of[k] / (double)t->letters);
            first = false;
        }
    fprintf(f, first ? "no letters\n" : "\n");
    if (l->answer_first)
        fprintf(f, "          %lld conversation%s with an answer, which is left out\n", (long long)l->answer_first, l->answer_first == 1 ? " begins" : "s begin");
}

static void print_trouble(const Look *l, FILE *f)
{
    const ListCount *n = &l->listed;
    for (int i = 0; i < PASSED_KINDS && n->passed[i].n; i++)
        fprintf(f, "%s %s: %lld\n", i ? "         " : "not read ", n->passed[i].what, (long long)n->passed[i].n);
    for (int i = 0; i < l->troubles && i < SAID; i++)
        fprintf(f, "broken    %lld: %s\n          first: %s\n", (long long)l->trouble[i].n, l->trouble[i].what, l->trouble[i].first);
    if (l->troubles > SAID)
        fprintf(f, "          and %d kinds more\n", l->troubles - SAID);
    for (int i = 0; i < BAD_SAID && n->said[i][0]; i++)
        fprintf(f, "broken    %s\n", n->said[i]);
}

void look_print(const Look *l, FILE *f)
{
    char took[UNIT_WORD];
    const char *what = l->at.source == SOURCE_FOLDER ? l->at.images : l->at.json;
    fprintf(f, "source    %s %s", source_kinds[l->at.source].name, what);
    if (l->files > 1)
        fprintf(f, ", %lld file%s", (long long)l->files, s(l->files));
    if (l->at.images[0] && what != l->at.images)
        fprintf(f, ", pictures below %s", l->at.images);
    fprintf(f, "; looked at in %s\n", unit_span(l->seconds, took));
    if (l->records) {
        print_records(l, f);
        print_pictures(l, f);
        print_text(l, f);
    }
    print_trouble(l, f);
}
