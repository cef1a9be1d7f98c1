/*
 * chatrequest.h -- what POST /v1/chat/completions asks: bytes -> a talk, its pictures, and how it is to be answered
 *
 *     messages     system | developer (at the beginning; several are joined by line breaks), then user and assistant in turn, a user last
 *     content      a text, or parts: {"type": "text", "text": ...}  {"type": "image_url", "image_url": {"url": "data:image/...;base64,..."}}
 *
 * A picture whose part is between two texts stands there; the others stand in front of the message's text, each on a line of its own, as
 * LLaVA has learned it and `asvr chat` does it.  Where the texts of a message have "<image>" as often as it has pictures, they stand
 * there.  In a request without pictures "<image>" is text.
 *
 * Every key is known: what makes no difference is passed over, what would make one and is not offered is refused by its name, unless it
 * has the value that changes nothing.  Keys of nobody are refused.
 *
 * Any bytes are safe: they are scanned for depth (CHAT_DEPTH) and number of values (CHAT_VALUES) before they become JSON, keys may not be
 * said twice, texts are UTF-8 without NUL.  Local, no state; any thread.
 *
 * Source  OpenAI's API reference, "Create chat completion"
 * Tests   tests/fuzz/fuzz_chatrequest.c, tests/launch/serve.sh, tests/peers/check_openai.py
 */
#pragma once
#include "io/text/prompt.h"
#include "launch/serve/refusal.h"

enum { CHAT_DEPTH = 32, CHAT_VALUES = 1 << 16, CHAT_STOPS = 4, CHAT_STOP = 256 /* bytes of a stop text */ };

typedef struct {
    const char *model;             /* the name that it must ask for */
    size_t      max_text;          /* bytes of all texts together */
    int         max_images, max_tokens;
    double      temperature;       /* what is not said */
    uint64_t    seed;
} ChatLimits;

typedef struct { uint8_t *bytes; size_t n; char where[64]; } ChatImage;      /* where: "messages[2].content[1]" */

typedef struct {
    Turn       *turn;              /* (turns) the last one's answer is NULL */
    int         turns, images, stops;
    char       *system;            /* NULL: none is said */
    ChatImage *image;             /* (images) in the order of their places */
    char       *stop[CHAT_STOPS];
    int         max_new;
    double      temperature;
    uint64_t    seed;
    bool        stream, usage;     /* usage: in a stream, too */
} ChatRequest;

/* False: *why says it, and *a holds nothing.  body need not end with NUL. */
bool chatrequest_read(ChatRequest *a, const char *body, size_t n, const ChatLimits *l, Refusal *why);
void chatrequest_free(ChatRequest *a);

/* ---- between the files of the room ---- */
struct json_t;
/* What is asked beside the messages (chatkeys.c). */
bool chatrequest_keys(ChatRequest *a, const struct json_t *root, const ChatLimits *l, Refusal *why);
