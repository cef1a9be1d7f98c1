/*
 * fuzz_chatrequest.c -- any bytes as the body of POST /v1/chat/completions
 *
 * Laws   refused: a status of 400, or 404 for a model of another name; words; OpenAI's error object, which is JSON
 *        accepted: turns that end with a question, within the limits; pictures with bytes; what stands in the texts is UTF-8 (it was JSON)
 *        the same bytes get the same verdict and the same talk
 *        a text cut at its stop texts is the same in pieces and at once, has no stop text, and begins the text
 */
#include <jansson.h>

#include "launch/serve/chatrequest.h"
#include "launch/serve/flow.h"
#include "tests/fuzz/fuzz.h"

static const ChatLimits limits = { .model = "tiny", .max_text = 2048, .max_images = 2, .max_tokens = 64, .temperature = 0.5, .seed = 7 };

static void well_formed(const ChatRequest *a)
{
    size_t text = a->system ? strlen(a->system) : 0;
    LAW(a->turns >= 1, "no turn");
    for (int i = 0; i < a->turns; i++) {
        LAW(a->turn[i].human, "a turn without a question");
        LAW((a->turn[i].answer == NULL) == (i == a->turns - 1), "turn %d of %d has %s answer", i, a->turns, a->turn[i].answer ? "an" : "no");
        text += strlen(a->turn[i].human) + (a->turn[i].answer ? strlen(a->turn[i].answer) : 0);
    }
    LAW(text <= limits.max_text + 2 * (size_t)(a->turns + CHAT_VALUES), "%zu bytes of text", text);
    LAW(a->images <= limits.max_images, "%d pictures", a->images);
    for (int i = 0; i < a->images; i++)
        LAW(a->image[i].bytes && a->image[i].n > 0, "a picture of nothing");
    LAW(a->max_new >= 1 && a->max_new <= limits.max_tokens, "%d tokens", a->max_new);
    LAW(a->temperature >= 0 && a->temperature <= 2, "temperature %g", a->temperature);
    for (int i = 0; i < a->stops; i++)
        LAW(a->stop[i][0], "an empty stop text");
}

static void same(const ChatRequest *a, const ChatRequest *b)
{
    LAW(a->turns == b->turns && a->images == b->images && a->stops == b->stops && a->max_new == b->max_new && a->seed == b->seed, "two verdicts");
    for (int i = 0; i < a->turns; i++)
        LAW(!strcmp(a->turn[i].human, b->turn[i].human), "two texts");
}

/* The text comes in growing pieces, as an answer does. */
static void flows(const ChatRequest *a, const char *text)
{
    Flow piece = { .stop = a->stop, .stops = a->stops }, whole = piece;
    const size_t n = strlen(text);
    char *got = calloc(n + 1, 1), *grown = calloc(n + 1, 1);
    const char *from;
    size_t have = 0;
    CHECK(got && grown, "no memory");
    for (size_t k = 0; k <= n; k += 1 + k % 3) {
        memcpy(grown, text, k);
        size_t end = k;
        while (end > 0 && strchr(" \n", grown[end - 1]))           /* as generate_text does */
            end--;
        grown[end] = '\0';
        const size_t m = flow_take(&piece, grown, false, &from);
        memcpy(got + have, from, m);
        have += m;
    }
    const size_t m = flow_take(&piece, text, true, &from), all = flow_take(&whole, text, true, &from);
    (void)m;
    LAW(piece.given == whole.given || piece.stopped || whole.stopped, "%zu bytes in pieces, %zu at once", piece.given, whole.given);
    LAW(piece.stopped == whole.stopped && piece.given == whole.given && all == whole.given, "stopped at %zu in pieces, at %zu at once", piece.given, whole.given);
    LAW(!memcmp(got, text, have), "what was given is not the beginning");
    for (int i = 0; i < a->stops && have; i++)
        LAW(!strstr(got, a->stop[i]), "a stop text was given");
    free(got);
    free(grown);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ChatRequest a, twin;
    Refusal why = { 0 }, again = { 0 };
    const bool ok = chatrequest_read(&a, (const char *)data, size, &limits, &why);
    LAW(ok == chatrequest_read(&twin, (const char *)data, size, &limits, &again), "two verdicts");
    if (ok) {
        LAW(why.status == 0, "accepted and refused");
        well_formed(&a);
        same(&a, &twin);
        char *text = strdup(a.turn[a.turns - 1].human);
        size_t n = strlen(text);
        while (n > 0 && strchr(" \n", text[n - 1]))
            text[--n] = '\0';
        if (n < 4096)
            flows(&a, text);
        free(text);
    } else {
        char *json = refusal_json(&why);
        json_t *root = json_loads(json, 0, NULL);
        LAW(root && json_string_length(json_object_get(json_object_get(root, "error"), "message")) > 0, "no error object: %s", json);
        LAW((why.status == 400 || why.status == 404) && why.status == again.status && why.code[0], "status %d: %s", why.status, why.message);
        LAW(!strcmp(why.message, again.message), "two reasons");
        json_decref(root);
        free(json);
    }
    chatrequest_free(&a);
    chatrequest_free(&twin);
    return 0;
}
