/* llavalist.c -- LLaVA's JSON and JSON Lines that cannot be read at their place: packed, or several files (sources.h) */
#include <stdlib.h>
#include <string.h>

#include "io/source/jsonpull.h"
#include "io/source/sources.h"

/* JSON Lines go over as they are, what is broken in them included: the reader says of each line what is wrong with it. */
static bool copy_lines(Listing *l, JsonPull *p, Err *e)
{
    bool line = false;
    int last = '\n';
    for (;;) {
        for (int64_t i = p->at; i < p->have; i++) {
            const int c = p->block[i];
            if (c == '\n' && line)
                l->count.records++;
            line = c != '\n' && (line || (c != ' ' && c != '\r' && c != '\t'));
        }
        if (p->have > p->at) {
            fwrite(p->block + p->at, 1, (size_t)(p->have - p->at), l->f);
            last = p->block[p->have - 1];
        }
        p->base += p->have;
        p->at = 0;
        p->have = max64(bytes_read(p->in, p->block, PULL_BLOCK, e), 0);
        if (e->code || !p->have)
            break;
    }
    l->count.records += line;
    if (last != '\n')
        fputc('\n', l->f);
    return !e->code;
}

static bool copy_array(Listing *l, JsonPull *p, Err *e)
{
    bool ok = true;
    pull_enter(p);
    for (bool first = true; ok && pull_element(p, first); first = false) {
        const int got = pull_value(p);
        if (got == 0)
            ok = pull_fail(p, p->start, e, "a record is longer than 16 MiB", "data.on_bad = \"skip\" passes over bad records") || list_bad(l, e);
        if (got != 1)
            continue;
        l->count.records++;
        fwrite(p->text, 1, (size_t)p->len, l->f);
        fputc('\n', l->f);
    }
    if (ok && !p->broken.code && pull_peek(p) >= 0)
        ok = pull_fail(p, pull_tell(p), e, "text after the end of the array", "`python3 -m json.tool` says more");
    if (p->broken.code && !e->code)
        *e = p->broken;
    return ok && !e->code;
}

bool list_llava(Listing *l, const char *path, const char *name, Err *e)
{
    JsonPull *p = malloc(sizeof *p);
    CHECK(p, "no memory to read JSON");
    (void)name;
    const int64_t before = l->count.records + l->count.bad;
    bool ok = pull_open(p, path, e);
    if (ok) {
        const int c = pull_peek(p);
        ok = c == '[' ? copy_array(l, p, e) : copy_lines(l, p, e);
        pull_close(p);
        if (ok && l->count.records + l->count.bad == before)
            list_passed(l, "files without a record");
    }
    free(p);
    return ok;
}
