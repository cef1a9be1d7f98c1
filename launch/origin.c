#include "launch/origin.h"

#include <stdio.h>
#include <string.h>

bool origin_checkpoint(Origin *o, const char *path)
{
    if (o->checkpoints == ORIGINS)
        return false;
    snprintf(o->checkpoint[o->checkpoints++], ORIGIN_NAME, "%s", path);
    return true;
}

static bool named(const Origin *o, const Param *p)
{
    for (int i = 0; i < o->parts; i++)
        if (param_in_part(p, o->part[i].name))
            return true;
    return false;
}

void origin_parts(Origin *o, const Params *t, const int *from)
{
    o->parts = 0;
    for (int i = 0; i < t->n; i++) {
        if (named(o, &t->p[i]))
            continue;
        ASSERT(o->parts < ORIGINS);
        snprintf(o->part[o->parts].name, PARAM_NAME, "%.*s", (int)strcspn(t->p[i].name, "."), t->p[i].name);
        o->part[o->parts++].from = from[i];
    }
}

bool origin_whole(const Origin *o)
{
    for (int i = 0; i < o->parts; i++)
        if (o->part[i].from < 0)
            return false;
    return true;
}

static void add(char out[ORIGIN_TEXT], const char *between, const char *word)
{
    const size_t n = strlen(out);
    snprintf(out + n, ORIGIN_TEXT - n, "%s%s", n ? between : "", word);
}

void origin_list(const Origin *o, int from, char out[ORIGIN_TEXT])
{
    out[0] = 0;
    for (int i = 0; i < o->parts; i++)
        if (o->part[i].from == from)
            add(out, ", ", o->part[i].name);
}

void origin_text(const Origin *o, char out[ORIGIN_TEXT])
{
    char list[ORIGIN_TEXT];
    snprintf(out, ORIGIN_TEXT, o->resumed ? "resumes from" : o->checkpoints ? "starts from" : "starts from seed %lld", (long long)o->seed);
    for (int i = 0; i < o->checkpoints; i++)
        add(out, i ? ", " : " ", o->checkpoint[i]);
    origin_list(o, ORIGIN_FRESH, list);
    if (o->checkpoints && list[0])
        add(out, "; fresh: ", list);
    origin_list(o, ORIGIN_COPIED, list);
    if (list[0]) {
        add(out, "; ", list);
        add(out, "", ": a copy of vision");
    }
}
