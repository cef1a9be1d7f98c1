/*
 * refusal.h -- why a request is not answered: an HTTP status, and OpenAI's error object
 *
 *     {"error": {"message": "...", "type": "invalid_request_error", "param": "messages", "code": "invalid_value"}}
 *
 *     400 invalid_request_error    what was asked cannot be read, or is not offered      401   no key, or a wrong one
 *     403 invalid_request_error    a page of another site asks                           404   no such path, no such model
 *     405 413                      another method; a body over serve.max_body            429   rate_limit_error: the queue is full
 *     500 503 server_error         the server failed; it is about to end
 *
 * Local; any thread.  Tests: tests/launch/serve.sh, tests/peers/check_openai.py
 */
#pragma once
#include "io/base/err.h"

typedef struct {
    int  status;                   /* 0: nothing is refused */
    char code[48], param[96];      /* "": null */
    char message[768];
} Refusal;

/* Always returns false; the first refusal wins. */
bool refuse(Refusal *r, int status, const char *code, const char *param, const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* What an Err says, in one sentence: EXIT_DATA is 400, all else 500. */
bool refuse_err(Refusal *r, const char *code, const char *param, const Err *e);
/* The object as text, to be freed. */
char *refusal_json(const Refusal *r);
