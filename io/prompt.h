/*
 * prompt.h -- a conversation -> tokens and labels
 *
 *     plain   [BOS] IMAGE... {answer}\n                          learned: {answer} and "\n"; the human turn is dropped
 *     v1      [BOS] {system} USER: IMAGE\n...{human} ASSISTANT: {answer}[EOS]USER: {human} ASSISTANT: {answer}[EOS]
 *                                                                learned: " {answer}" and EOS of every turn
 *
 * IMAGE is IMAGE_TOKEN, one for each picture.  "<image>" is taken out of the human turns wherever it stands (and the
 * turn's ends trimmed); the pictures then come first in the first human turn, each on its own line.
 *
 * Labels are made while tokenizing: each piece is encoded once and appended with or without labels; nothing is
 * tokenized twice to find out where it ended.  Pieces are cut in front of spaces, "ASSISTANT:" | " {answer}", which is
 * where SentencePiece cuts words itself.  So the ids decode to exactly the text above, and a prompt whose last answer
 * is NULL is, id by id, the beginning of the prompt that has the answer.  (The released code puts one more space
 * after IMAGE and EOS, because it tokenizes what follows as if it began a text.)
 *
 * Source  ASVR's released code, vicuna_v1 and plain conversations;  Vicuna v1.1
 * Tests   tests/io/test_prompt.c
 */
#pragma once
#include "io/text.h"

enum { TEMPLATE_PLAIN, TEMPLATE_V1 };
int template_find(const char *name);                     /* "plain", "v1"; -1 unknown */

const char *template_text(int template_);                /* what every conversation begins with, for training a vocabulary */

typedef struct { const char *human, *answer; } Turn;     /* answer NULL (in the last turn): the model is to answer */

/* tokens (n), labels (n): the token to learn or IGNORE, unshifted.  Grows as needed, may be reused for the next. */
typedef struct { int32_t *tokens, *labels; int n, cap; } Prompt;

/*
 * Builds the prompt of n turns (plain: n = 1) over `images` pictures; what p held before is overwritten.  Local.
 * EXIT_DATA: "<image>" is written in the human turns, but not `images` times; no turn, or several for plain; a NULL
 * answer before the last turn; the text model has no BOS or EOS or cannot write "\n".
 */
bool prompt_build(Prompt *p, const Text *t, int template_, const Turn *turns, int n, int images, Err *e);
void prompt_free(Prompt *p);
