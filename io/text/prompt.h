/*
 * prompt.h -- a conversation -> tokens and labels, in the writing of a template (templates.h)
 *
 *     learned      the answer of every turn with what ends it: " {answer}" and EOS, "{answer}" and <|im_end|>, ...
 *     plain        "{answer}\n"; the human turn is dropped, all pictures come first
 *     qwen3        <think>\n\n</think>\n\n is written in front of the last answer, not learned
 *
 * "<image>" in a human turn is the place of a picture; the i-th mark is picture i.  There its IMAGE_TOKEN stands, and the text in front
 * of it and behind it is as it was.  Except that
 *
 *     marks that begin a turn    stand each on its own line in front of its text, however they were written
 *     marks that end the first   turn of the conversation on lines of their own, "What is it?\n<image>", likewise, where the turn
 *                                has no mark in its text: so LLaVA writes half of its pictures, and moves them when it trains
 *     no mark in any turn        the pictures come first in the first turn, each on its own line
 *     no picture                 "<image>" is text, as it always is in answers and system prompts
 *
 * A human turn has no blanks at its ends.
 *
 * Labels are made while tokenizing: each piece is encoded once and appended with or without labels; nothing is
 * tokenized twice to find out where it ended.  So a prompt whose last answer is NULL is, id by id, the beginning of the prompt that has
 * the answer, and the ids decode to exactly the template's text.  Pieces are cut at ids (marks, pictures, EOS) and in front of
 * answers alone: behind a mark, behind a line break, or "ASSISTANT:" | " {answer}" in front of a space, which is where
 * SentencePiece and the patterns of byte-level BPE cut words themselves, unless an answer begins with a blank.  (The released code puts one
 * more space after IMAGE and EOS, because it tokenizes what follows as if it began a text.)
 *
 * An answer of blanks has no labels: nobody shall learn to say nothing.  "<|im_end|>" written in a turn is text.
 *
 * Source  ASVR's released code;  LLaVA
 * Tests   tests/io/text/test_prompt.c, test_prompt_golden.c (ids and labels of every template), tests/peers/templates.py
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
 * EXIT_DATA: there are pictures, and "<image>" is written in the human turns, but not `images` times (plain: more often); no turn, or several
 * for plain; a NULL answer before the last turn; the text model has no id that ends an answer, cannot write "\n", or refuses a text.
 */
bool prompt_build(Prompt *p, const Text *t, int template_, const Talk *talk, Err *e);
void prompt_free(Prompt *p);
