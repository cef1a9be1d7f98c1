/*
 * chattemplate.h -- data.template = "auto": the template of the text model's folder
 *
 * Local; rank 0 alone, for it sends the configuration to the others.  Tests  tests/launch/templates.sh
 */
#pragma once
#include "launch/config/config.h"

/* For verbs that write conversations (pack, chat, serve, export): data.template becomes what the chat template beside text.model renders, and
   data.system what it says, where that is another than the template's and data.system is empty.  The exit code; an error is printed. */
int chat_template(Config *c, const char *verb);
