/*
 * generate.h -- text from the model: a prompt with pictures in, what follows it out
 *
 * Local to a tp group: every rank of it calls with the same arguments.
 */
#pragma once
#include "core/decode.h"
#include "io/set/catalogue.h"
#include "io/text/templates.h"

typedef struct {
    Decode      d;
    Tape       *tape;              /* pictures go through it */
    const Text *text;
    int         max_new, template_, stops;
    int32_t     stop[TEMPLATE_STOPS];       /* (stops) the ids that end an answer */
    int32_t    *ids;               /* (max_new) */
    bool        open;
} Generator;

void generate_open(Generator *g, Model *m, Tape *t, const Text *text, int template_, int max_len, int max_new);
void generate_close(Generator *g);
/* Generates from the prompt's tokens over `images` pictures until the template's end; without blanks around it.  False when
   the prompt is longer than max_len.  temperature 0: the likeliest token each time; seed counts otherwise. */
bool generate_prompt(Generator *g, const int32_t *tokens, int n, const uint8_t *pixels, int images, float temperature,
                     uint64_t seed, char *out, int cap);
/* The prompt is an evaluation sample up to its last answer; `question` becomes the text of the last human turn. */
void generate_sample(Generator *g, const Sample *s, char *question, int q_cap, char *out, int cap);
