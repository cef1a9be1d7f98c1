/*
 * prompt.h -- a conversation -> tokens and labels, in the writing of a template (templates.h)
 *
 *     plain                   learned: "{answer}\n"; the human turn is dropped
 *     v1, llama2, mistral     learned: " {answer}" and EOS of every turn
 *     chatml                  learned: "{answer}" and <|im_end|> of every turn (EOS where the text model has no such piece)
 *
 * IMAGE is IMAGE_TOKEN, one for each picture.  "<image>" is taken out of the human turns wherever it stands (and the
 * turn's ends trimmed); the pictures then come first in the first human turn, each on its own line.
 *
 * Labels are made while tokenizing: each piece is encoded once and appended with or without labels; nothing is
 * tokenized twice to find out where it ended.  Pieces are cut in front of spaces, "ASSISTANT:" | " {answer}", which is
 * where SentencePiece cuts words itself, or behind a line break.  So the ids decode to exactly the template's text, and
 * a prompt whose last answer is NULL is, id by id, the beginning of the prompt that has the answer.  (The released code
 * puts one more space after IMAGE and EOS, because it tokenizes what follows as if it began a text.)
 *
 * An answer of blanks has no labels: nobody shall learn to say nothing.  "<|im_end|>" written in a turn is text.
 *
 * Source  ASVR's released code;  LLaVA
 * Tests   tests/io/text/test_prompt.c (golden ids and labels of every template)
 */
#pragma once
#include "io/text/templates.h"

typedef struct { const char *human, *answer; } Turn;     /* answer NULL (in the last turn): the model is to answer */

typedef struct {
    const Turn *turns;
    int         n, images;                               /* turns (plain: 1); pictures */
    const char *system;                                  /* NULL: the template's own; "": none.  plain has none */
} Talk;

/* tokens (n), labels (n): the token to learn or IGNORE, unshifted.  Grows as needed, may be reused for the next. */
typedef struct { int32_t *tokens, *labels; int n, cap; } Prompt;

/*
 * Builds the prompt of a conversation; what p held before is overwritten.  Local.
 * EXIT_DATA: "<image>" is written in the human turns, but not `images` times; no turn, or several for plain; a NULL
 * answer before the last turn; the text model lacks BOS or EOS where the template needs them, cannot write "\n", or
 * refuses a text.
 */
bool prompt_build(Prompt *p, const Text *t, int template_, const Talk *talk, Err *e);
void prompt_free(Prompt *p);
