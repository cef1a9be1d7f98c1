/* chatkeys.c -- the keys beside messages: which are read, which change nothing, which are refused (chatrequest.h) */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "launch/serve/chatrequest.h"

/* READ: below.  PASSED: whatever it is, the answer is the same.  The others: refused, but with the one value that changes nothing, and null. */
typedef enum { READ, PASSED, ONLY_0, ONLY_1, ONLY_FALSE, ONLY_EMPTY, ONLY_NONE, ONLY_TEXT, NEVER } Rule;

static const struct { const char *key; Rule rule; } keys[] = {
    { "messages", READ }, { "model", READ }, { "max_tokens", READ }, { "max_completion_tokens", READ }, { "temperature", READ },
    { "stop", READ }, { "seed", READ }, { "stream", READ }, { "stream_options", READ },
    { "user", PASSED }, { "metadata", PASSED }, { "store", PASSED }, { "service_tier", PASSED }, { "safety_identifier", PASSED },
    { "prompt_cache_key", PASSED }, { "prompt_cache_retention", PASSED }, { "prediction", PASSED }, { "parallel_tool_calls", PASSED },
    { "top_p", ONLY_1 }, { "n", ONLY_1 }, { "presence_penalty", ONLY_0 }, { "frequency_penalty", ONLY_0 }, { "top_logprobs", ONLY_0 },
    { "logprobs", ONLY_FALSE }, { "logit_bias", ONLY_EMPTY }, { "tools", ONLY_EMPTY }, { "functions", ONLY_EMPTY },
    { "tool_choice", ONLY_NONE }, { "function_call", ONLY_NONE }, { "response_format", ONLY_TEXT }, { "modalities", ONLY_TEXT },
    { "audio", NEVER }, { "reasoning_effort", NEVER }, { "verbosity", NEVER }, { "web_search_options", NEVER },
};
enum { KEYS = sizeof keys / sizeof *keys };

static bool is_text(const json_t *v, const char *text) { return json_is_string(v) && !strcmp(json_string_value(v), text); }

/* The value that changes nothing. */
static bool harmless(Rule rule, const json_t *v, const char **only)
{
    switch (rule) {
    case ONLY_0:     return *only = "only 0", json_is_number(v) && json_number_value(v) == 0;
    case ONLY_1:     return *only = "only 1", json_is_number(v) && json_number_value(v) == 1;
    case ONLY_FALSE: return *only = "only false", json_is_false(v);
    case ONLY_EMPTY: return *only = "only an empty one", (json_is_array(v) && !json_array_size(v)) || (json_is_object(v) && !json_object_size(v));
    case ONLY_NONE:  return *only = "only \"none\" and \"auto\", as there are no tools", is_text(v, "none") || is_text(v, "auto");
    case ONLY_TEXT:
        *only = "only text";
        return is_text(json_object_get(v, "type"), "text") || (json_array_size(v) == 1 && is_text(json_array_get(v, 0), "text"));
    default:         return *only = "none", false;
    }
}

static bool allowed(const char *key, const json_t *v, Refusal *why)
{
    const char *only;
    for (int i = 0; i < KEYS; i++)
        if (!strcmp(keys[i].key, key))
            return keys[i].rule <= PASSED || json_is_null(v) || harmless(keys[i].rule, v, &only) ||
                   refuse(why, 400, "unsupported_parameter", key, "%s is not offered by this server with this value: %s is", key, only);
    return refuse(why, 400, "unknown_parameter", "", "there is no parameter \"%.80s\"", key);
}

/* A whole number from least to most, or not there: then *to stays. */
static bool number(const json_t *root, const char *key, int64_t least, int64_t most, int64_t *to, Refusal *why)
{
    const json_t *v = json_object_get(root, key);
    if (!v || json_is_null(v))
        return true;
    if (!json_is_integer(v) || json_integer_value(v) < least || json_integer_value(v) > most)
        return refuse(why, 400, "invalid_value", key, "%s must be a whole number from %lld to %lld", key, (long long)least, (long long)most);
    *to = json_integer_value(v);
    return true;
}

static bool flag(const json_t *object, const char *key, const char *param, bool *to, Refusal *why)
{
    const json_t *v = json_object_get(object, key);
    if (!v || json_is_null(v))
        return true;
    *to = json_is_true(v);
    return json_is_boolean(v) || refuse(why, 400, "invalid_type", param, "%s must be true or false", param);
}

static bool add_stop(ChatRequest *a, const json_t *v, Refusal *why)
{
    const size_t n = json_string_length(v);
    if (!json_is_string(v) || n == 0 || n > CHAT_STOP || a->stops == CHAT_STOPS)
        return refuse(why, 400, "invalid_value", "stop", "stop must be a text, or at most %d, each of 1 to %d bytes", CHAT_STOPS, CHAT_STOP);
    a->stop[a->stops] = strdup(json_string_value(v));
    CHECK(a->stop[a->stops], "no memory for a text");
    a->stops++;
    return true;
}

static bool read_stops(ChatRequest *a, const json_t *v, Refusal *why)
{
    if (!json_is_array(v))
        return !v || json_is_null(v) || add_stop(a, v, why);
    for (size_t i = 0; i < json_array_size(v); i++)
        if (!add_stop(a, json_array_get(v, i), why))
            return false;
    return true;
}

static bool read_model(const json_t *v, const ChatLimits *l, Refusal *why)
{
    if (!json_is_string(v))
        return refuse(why, 400, "invalid_type", "model", "model must be a text; here it is \"%.200s\"", l->model);
    return is_text(v, l->model) ||
           refuse(why, 404, "model_not_found", "model", "there is no model \"%.200s\"; this server has \"%.200s\"", json_string_value(v), l->model);
}

bool chatrequest_keys(ChatRequest *a, const json_t *root, const ChatLimits *l, Refusal *why)
{
    const char *key;
    json_t *v, *t = json_object_get(root, "temperature"), *options = json_object_get(root, "stream_options");
    int64_t most = l->max_tokens, other = -1, seed = 0;
    json_object_foreach((json_t *)(uintptr_t)root, key, v)
        if (!allowed(key, v, why))
            return false;
    if (!read_model(json_object_get(root, "model"), l, why) || !number(root, "max_tokens", 1, l->max_tokens, &most, why) ||
        !number(root, "max_completion_tokens", 1, l->max_tokens, &other, why) || !number(root, "seed", INT64_MIN, INT64_MAX, &seed, why) ||
        !read_stops(a, json_object_get(root, "stop"), why) || !flag(root, "stream", "stream", &a->stream, why))
        return false;
    a->max_new = (int)(other > 0 ? other : most);
    v = json_object_get(root, "seed");
    a->seed = v && !json_is_null(v) ? (uint64_t)seed : l->seed;
    a->temperature = l->temperature;
    if (t && !json_is_null(t)) {
        a->temperature = json_number_value(t);
        if (!json_is_number(t) || !(a->temperature >= 0 && a->temperature <= 2))
            return refuse(why, 400, "invalid_value", "temperature", "temperature must be a number from 0 to 2");
    }
    if (options && !json_is_null(options) && (!json_is_object(options) || !a->stream))
        return refuse(why, 400, "invalid_value", "stream_options", "stream_options must be an object, and goes with stream = true");
    return flag(options, "include_usage", "stream_options.include_usage", &a->usage, why);
}
