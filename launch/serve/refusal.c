#include "launch/serve/refusal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "io/base/json.h"

bool refuse(Refusal *r, int status, const char *code, const char *param, const char *fmt, ...)
{
    if (r->status)
        return false;
    r->status = status;
    snprintf(r->code, sizeof r->code, "%s", code);
    snprintf(r->param, sizeof r->param, "%s", param);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(r->message, sizeof r->message, fmt, ap);
    va_end(ap);
    return false;
}

bool refuse_err(Refusal *r, const char *code, const char *param, const Err *e)
{
    char text[sizeof r->message];
    int n = snprintf(text, sizeof text, "%s%s%.250s", e->what, e->where[0] ? ": " : "", e->where);
    if (e->expected[0] && n < (int)sizeof text)
        n += snprintf(text + n, sizeof text - (size_t)n, "; expected %s", e->expected);
    if (e->got[0] && n < (int)sizeof text)
        n += snprintf(text + n, sizeof text - (size_t)n, "; got %s", e->got);
    if (e->hint[0] && n < (int)sizeof text)
        snprintf(text + n, sizeof text - (size_t)n, " (%s)", e->hint);
    return refuse(r, e->code == EXIT_DATA ? 400 : 500, code, param, "%s", text);
}

static const char *type_of(int status)
{
    return status == 429 ? "rate_limit_error" : status >= 500 ? "server_error" : "invalid_request_error";
}

static json_t *text_or_null(const char *s) { return *s ? json_text(s) : json_null(); }

char *refusal_json(const Refusal *r)
{
    json_t *root = json_pack("{s:{s:o,s:s,s:o,s:o}}", "error", "message", json_text(r->message), "type", type_of(r->status), "param",
                             text_or_null(r->param), "code", text_or_null(r->code));
    char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    CHECK(text, "no memory for an error");
    return text;
}
