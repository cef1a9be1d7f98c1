#include <stdio.h>
#include <string.h>

#include "dist/comm.h"
#include "launch/kits/kits.h"

/* One row's question goes to a free slot; how many slots that took, or -1, on all ranks of the replica: it cannot, e of one of them says why. */
static int add(Kits *k, const Table *t, int64_t row, Kept *kept, Err *e)
{
    const Config *c = k->r.c;
    const int images = table_pictures(t, row, config_picture(c), config_fit(c), &k->pixels, &k->room, e);
    char *text = images < 0 ? NULL : table_prompt(t, row, images, &k->pad, e);
    if (text) {
        const Turn turn = { text, NULL };
        const Talk talk = { &turn, 1, images, c->data.system[0] ? c->data.system : NULL };
        if (!prompt_build(&k->prompt, k->r.text, c->data.template, &talk, e) && !e->where[0])
            snprintf(e->where, sizeof e->where, "%.400s: row %lld, column \"question\"", t->tsv.path, (long long)row + 1);
    }
    pad_clear(&k->pad);
    if (comm_agree(k->r.grid.tp, e->code))
        return -1;
    const Request q = { .tokens = k->prompt.tokens, .n = k->prompt.n, .pixels = k->pixels, .images = images,
                        .max_new = kinds[t->kind].max_new < c->chat.max_new ? kinds[t->kind].max_new : c->chat.max_new };
    const int slot = generate_add(&k->g, &q);
    ASSERT(slot != GENERATE_FULL);
    if (slot >= 0) {
        k->slot_row[slot] = row;
        return 1;
    }
    k->too_long++;                                      /* it does not fit: said at the end */
    kept_add(kept, row, "");
    return 0;
}

/* Answers that have ended leave their slots; how many are under way still. */
static int leave(Kits *k, Kept *kept)
{
    int busy = 0;
    for (int i = 0; i < k->g.slots; i++) {
        if (k->slot_row[i] < 0)
            continue;
        if (generate_ended(&k->g, i) == ENDED_NOT) {
            busy++;
            continue;
        }
        generate_text(&k->g, i, k->said, KITS_ANSWER);
        kept_add(kept, k->slot_row[i], k->said);
        generate_release(&k->g, i);
        k->slot_row[i] = -1;
        k->done++;
    }
    return busy;
}

enum { SAY = 30 };                       /* seconds */

/* Rank 0: how far its replica is; the others are about as far. */
static void say(const Kits *k, const Table *t, const Kept *kept, double start, double *last)
{
    const int64_t share = ceil_div(t->asked - kept->had, k->r.grid.dp_size);
    const double seconds = now() - start;
    if (k->r.grid.rank != 0 || now() - *last < SAY || k->done == 0)
        return;
    *last = now();
    printf("  %2.0f %%, %.1f questions/s, %.0f s to go\n", 100.0 * (double)k->done / (double)share, (double)(k->done * k->r.grid.dp_size) / seconds,
           seconds * (double)(share - k->done) / (double)k->done);
    fflush(stdout);
}

bool kits_ask(Kits *k, const Table *t, Kept *kept, Err *e)
{
    const double start = now();
    double said = start;
    int64_t at = 0, number = 0;
    for (int i = 0; i < k->g.slots; i++)
        k->slot_row[i] = -1;
    for (int busy = 0; busy >= 0; ) {
        for (int took; busy >= 0 && busy < k->g.slots && at < t->asked; ) {
            const int64_t row = t->row[at++];
            if (kept->answered[row] || number++ % k->r.grid.dp_size != k->r.grid.dp_rank)
                continue;
            took = add(k, t, row, kept, e);
            busy = took < 0 ? -1 : busy + took;
        }
        if (busy < 0 || !generate_step(&k->g))
            break;
        busy = leave(k, kept);
        say(k, t, kept, start, &said);
    }
    for (int i = 0; i < k->g.slots; i++)
        if (k->slot_row[i] >= 0)
            generate_release(&k->g, i);
    k->seconds = now() - start;
    return run_agree(&k->r, e);
}
