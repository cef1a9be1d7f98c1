/*
 * jinja.h -- a text model's chat template in Jinja: which of our templates it is, and ours written in Jinja
 *
 * Nothing here runs Jinja.  A template is known by the hash of its text (line ends made "\n", blanks around it cut off); the
 * table says which of our templates renders the same, which tests/peers/templates.py has seen by rendering both.  What
 * jinja_write wrote is known by its form, whatever system prompt it holds.
 *
 * In a folder the first of these that is there is the chat template:
 *
 *     chat_template.jinja      chat_template.json {"chat_template": ...}      tokenizer_config.json {"chat_template": ...}
 *
 * a text, or a list of {"name", "template"}, of which "default" is taken.
 *
 * Local.  Source  Hugging Face transformers, chat templates
 * Tests   tests/io/text/test_jinja.c, tests/peers/templates.py, tests/fuzz/fuzz_text.c
 */
#pragma once
#include "io/text/templates.h"

enum { JINJA_BYTES = 1 << 20 };     /* of a template, and of a file that holds one: eight times as much */

/*
 * The template as Jinja, to be freed.  It renders messages (system, user, assistant; content a text, or parts of type "text" and
 * "image") to the text of prompt_build's ids, "<image>" where a picture stands, bos_token and eos_token where BOS and EOS do;
 * add_generation_prompt as a NULL answer.  system: what is said where the messages have no system turn; NULL the template's own,
 * "" none.  t: the text model, which decides whether marks are ids and whether there is a BOS; NULL: one that has all of them.
 */
char *jinja_write(int template_, const char *system, const Text *t);

/* The template that a Jinja text of n bytes renders; -1: none that we know.  *system: the system prompt that ours holds where
   it is another than the template's own, to be freed; else NULL. */
int   jinja_known(const char *jinja, size_t n, char **system);

/* The same for the folder of a text model.  -1: EXIT_CONFIG where there is no chat template, or one that we do not know, which
   names the nearest; EXIT_IO, EXIT_DATA where a file cannot be read or is no JSON. */
int   jinja_find(const char *folder, char **system, Err *e);
