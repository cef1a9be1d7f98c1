/*
 * generate.h -- text from the model: prompts with pictures in, what follows them out, many at a time
 *
 *     slot = generate_add(&g, &request);                  a prompt takes a free slot
 *     while (generate_step(&g))                           one token more for each slot that is under way
 *         if (generate_ended(&g, slot)) ...               generate_text(&g, slot, ...); generate_release(&g, slot);
 *
 * Prompts that came since the last step and the tokens of those under way go through the decoder together, each over its own keys and values;
 * so a step's products have a row for each, and weights are read once for all.  What a prompt is answered does not depend on what goes
 * beside it (to the bit: models that only answer have leaves, linear.h, unless parallel.blocks is 0).  With `keep` a slot that was released
 * keeps its keys and values, and a prompt that begins as it did, pictures and all, goes on from there: a talk costs its new turns.
 *
 * Local to a tp group: every rank of it calls with the same arguments.
 * Tests   tests/core/test_decode.c, tests/launch/test_generate.c (together = one by one = from kept keys)
 */
#pragma once
#include "core/decode.h"
#include "io/set/catalogue.h"
#include "io/text/templates.h"

/* A prompt: its tokens, where IMAGE_TOKEN stands for the rows of a picture, and its pictures (images, size, size, 3).  generate_add reads
   them, they may go afterwards.  temperature 0: the likeliest token each time; else drawn by the seed.  max_new 0: the generator's. */
typedef struct {
    const int32_t *tokens;
    int            n, images;
    const uint8_t *pixels;
    float          temperature;
    uint64_t       seed;
    int            max_new;
} Request;

enum { GENERATE_LONG = -2, GENERATE_FULL = -1 };              /* rows that do not fit max_len (or no token at all); no slot is free */
typedef enum { ENDED_NOT, ENDED_STOP, ENDED_LENGTH } Ended;   /* under way; a mark of the template; max_new tokens, or max_len rows */

typedef struct {
    int32_t  *held;                /* (max_len) tokens whose rows are in the cache, or will be with the next pass */
    uint64_t *picture;             /* (max_len) hashes of their pictures, in order */
    int32_t  *made;                /* (max_new) tokens of the answer */
    int       n_held, n_made, rows, max_new;        /* rows: of what is held */
    bool      taken, added, leaving;                /* added: to the next pass, already; leaving: free behind it */
    Ended     ended;
    float     temperature;
    uint64_t  seed;
} Slot;

typedef struct {
    Decode      d;
    Tape       *tape;              /* pictures go through it */
    const Text *text;
    int         slots, max_len, max_new, template_, stops;
    int32_t     stop[TEMPLATE_STOPS];       /* (stops) the ids that end an answer */
    Slot       *slot;              /* (slots) */
    int        *piece;             /* (slots) whose tokens the next pass has, by the order of its pieces */
    int         pieces;
    int32_t    *held, *made, *said;         /* (slots,max_len) (slots,max_new) (max_new) */
    uint64_t   *picture;           /* (slots,max_len) */
    bool        keep, open;
} Generator;

/* slots: prompts under way at once.  max_len: rows of a prompt and its answer. */
typedef struct { int slots, max_len, max_new, template_; bool keep; } GeneratorShape;
void generate_open(Generator *g, Model *m, Tape *t, const Text *text, const GeneratorShape *s);
void generate_close(Generator *g);
/* Of generate_open's tensors.  Local. */
size_t generate_bytes(const Model *m, const GeneratorShape *s);

/* Its slot, or GENERATE_...  No more pictures than the model's max_images.  Where a pass has no room left for it, it makes a step first. */
int   generate_add(Generator *g, const Request *q);
/* One token more for each slot under way; false: none is. */
bool  generate_step(Generator *g);
Ended generate_ended(const Generator *g, int slot);
/* The answer so far without blanks around it, so each begins the next; whole characters; its length.  Cut if cap is too small. */
int   generate_text(const Generator *g, int slot, char *out, int cap);
/* The slot is free; its prompt, if it was under way, is dropped. */
void  generate_release(Generator *g, int slot);

/* One prompt's whole answer; false: GENERATE_LONG.  No slot may be taken. */
bool generate_prompt(Generator *g, const Request *q, char *out, int cap);
/* The prompt of an evaluation sample, its tokens up to its last answer; `question` becomes the text of the last human turn. */
Request generate_sample(const Generator *g, const Sample *s, char *question, int q_cap);
