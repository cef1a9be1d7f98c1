#include "launch/chattemplate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "io/base/files.h"
#include "io/base/log.h"
#include "io/text/jinja.h"

static bool find(Config *c, Err *e)
{
    char folder[PATH_ROOM], *system = NULL;
    struct stat st;
    if (stat(c->text.model, &st) == 0 && S_ISDIR(st.st_mode) ? !path_set(folder, e, "%s", c->text.model)
                                                             : !path_folder(folder, c->text.model, e))
        return false;
    const int kind = jinja_find(folder, &system, e);
    if (kind < 0)
        return false;
    c->data.template = kind;
    if (system && !c->data.system[0]) {
        if (snprintf(c->data.system, sizeof c->data.system, "%s", system) >= (int)sizeof c->data.system)
            err_set(e, EXIT_CONFIG, folder, "set data.system", "the chat template's system prompt is longer than %d bytes", CONFIG_STRING - 1);
        else if (!system[0])
            err_set(e, EXIT_CONFIG, folder, "set data.template and data.system",
                    "the chat template says no system prompt where template \"%s\" has one", templates[kind].name);
    }
    free(system);
    return !e->code;
}

int chat_template(Config *c, const char *verb)
{
    Err e = { 0 };
    if (c->data.template != TEMPLATE_AUTO || (strcmp(verb, "pack") && strcmp(verb, "chat") && strcmp(verb, "serve") && strcmp(verb, "export") && !(!strcmp(verb, "eval") && c->eval.tsv[0])))
        return EXIT_DONE;
    if (!find(c, &e)) {
        log_error(&e);
        return e.code;
    }
    if (!strcmp(verb, "pack"))
        printf("template  %s, as the text model's chat template says\n", templates[c->data.template].name);
    return EXIT_DONE;
}
