/* reply.c -- what is answered, as OpenAI writes it (http.h) */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/json.h"
#include "launch/serve/http.h"

static char *dump(json_t *root)
{
    char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    CHECK(text, "no memory for an answer");
    return text;
}

static json_t *usage(const Job *j)
{
    return json_pack("{s:i,s:i,s:i}", "prompt_tokens", j->prompt, "completion_tokens", j->made, "total_tokens", j->prompt + j->made);
}

static json_t *head(const Job *j, const HttpConf *c, const char *object)
{
    return json_pack("{s:s,s:s,s:I,s:o,s:s}", "id", j->id, "object", object, "created", (json_int_t)j->created, "model", json_text(c->limits.model),
                     "system_fingerprint", c->fingerprint);
}

static const char *finish(const Job *j) { return j->length ? "length" : "stop"; }

char *reply_whole(const Job *j, const HttpConf *c)
{
    json_t *root = head(j, c, "chat.completion");
    json_object_set_new(root, "choices", json_pack("[{s:i,s:{s:s,s:o,s:n},s:n,s:s}]", "index", 0, "message", "role", "assistant", "content",
                                                   json_text(j->text ? j->text : ""), "refusal", "logprobs", "finish_reason", finish(j)));
    json_object_set_new(root, "usage", usage(j));
    return dump(root);
}

/* "data: ROOT\n\n", and `behind`. */
static char *event(json_t *root, const char *behind)
{
    char *text = dump(root), *all = NULL;
    CHECK(asprintf(&all, "data: %s\n\n%s", text, behind) > 0, "no memory for an answer");
    free(text);
    return all;
}

static char *chunk(const Job *j, const HttpConf *c, json_t *delta, json_t *why)
{
    json_t *root = head(j, c, "chat.completion.chunk");
    json_object_set_new(root, "choices", json_pack("[{s:i,s:o,s:n,s:o}]", "index", 0, "delta", delta, "logprobs", "finish_reason", why));
    if (j->asked.usage)
        json_object_set_new(root, "usage", json_null());
    return event(root, "");
}

static char *last(Job *j, const HttpConf *c)
{
    static const char done[] = "data: [DONE]\n\n";
    char *text, *end, *all = NULL;
    j->finished = true;
    if (j->why.status) {
        text = refusal_json(&j->why);
        CHECK(asprintf(&all, "data: %s\n\n%s", text, done) > 0, "no memory for an answer");
        free(text);
        return all;
    }
    text = chunk(j, c, json_object(), json_string(finish(j)));
    if (j->asked.usage) {
        json_t *root = head(j, c, "chat.completion.chunk");
        json_object_set_new(root, "choices", json_array());
        json_object_set_new(root, "usage", usage(j));
        end = event(root, done);
    } else {
        end = strdup(done);
    }
    CHECK(end && asprintf(&all, "%s%s", text, end) > 0, "no memory for an answer");
    free(text);
    free(end);
    return all;
}

char *reply_event(Job *j, const HttpConf *c)
{
    if (!j->begun) {
        j->begun = true;
        return chunk(j, c, json_pack("{s:s,s:s}", "role", "assistant", "content", ""), json_null());
    }
    if (j->told < j->n) {
        char *said = chunk(j, c, json_pack("{s:o}", "content", json_text(j->text + j->told)), json_null());
        j->told = j->n;
        return said;
    }
    return j->state == JOB_ENDED && !j->finished ? last(j, c) : NULL;
}

char *reply_models(const HttpConf *c, bool one)
{
    json_t *model = json_pack("{s:o,s:s,s:i,s:s}", "id", json_text(c->limits.model), "object", "model", "created", 0, "owned_by", "asvr");
    return dump(one ? model : json_pack("{s:s,s:[o]}", "object", "list", "data", model));
}

char *reply_health(const HttpConf *c, Jobs *q)
{
    pthread_mutex_lock(&q->lock);
    const int runs = q->runs, waits = q->waits;
    const bool stopping = q->stopping;
    pthread_mutex_unlock(&q->lock);
    return dump(json_pack("{s:s,s:o,s:i,s:i,s:i,s:i}", "status", stopping ? "stopping" : "ok", "model", json_text(c->limits.model), "running", runs,
                          "slots", c->slots, "waiting", waits, "queue", q->most));
}
