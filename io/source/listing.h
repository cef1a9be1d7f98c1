/*
 * listing.h -- one JSON line a record, written by what lists a source that is no LLaVA JSON itself
 *
 *     {"id": "0007", "image": [{"file": "shard-0.tar", "at": 512, "bytes": 1234}], "conversations": [...]}
 *
 * Everything becomes such lines, and llava.h reads them: downstream there is one format.  The same content gives the same
 * bytes, so that a pack that was killed goes on.  A caption alone becomes a conversation:
 *
 *     human  "<image>\nDescribe this image."        gpt  the caption         ("Describe these images." of several)
 *
 * What a source has and we do not read is passed over and counted by its name; what is bad ends the listing, or is counted
 * too.  A text that is no UTF-8 (list_no_text) is refused where the source can name it; else it is written as it is: the record is bad.
 *
 * Local.  Tests: tests/io/source/test_sources.c
 */
#pragma once
#include <stdio.h>

#include "io/base/err.h"

enum { PASSED_KINDS = 24, BAD_SAID = 5, LIST_TEXT = 16 << 20 /* bytes of a caption or a JSON at most */ };

struct json_t;

/* Plain data, to be gathered from all ranks. */
typedef struct {
    int64_t records, bad;
    struct { char what[48]; int64_t n; } passed[PASSED_KINDS];
    char    said[BAD_SAID][400];   /* of the first bad ones */
} ListCount;

typedef struct {
    FILE     *f;
    bool      skip;                /* data.on_bad */
    bool      follow;              /* data.follow_links */
    ListCount count;
} Listing;

/* Text as a JSON string, quotes around it. */
void list_string(FILE *f, const char *text, int64_t n);
/* What is wrong with n bytes as a text; NULL: nothing. */
const char *list_no_text(const char *text, int64_t n);
/* One record: images is a list of JSON values without its brackets, "" for none; of a caption, or of turns as they are:
   `key` is "conversations", "messages" or "question", turns its JSON value, system the value of "system" or NULL, asked what
   asked_members gives, or "". */
void list_caption(Listing *l, const char *id, const char *images, int pictures, const char *caption, int64_t n);
void list_turns(Listing *l, const char *id, const char *images, const char *key, const char *turns, const char *system, const char *asked);
/* A record of what an object of JSON, read as jsonplain.h gives it, says by these keys and those of asked.h; false: it says none. */
bool list_object(Listing *l, const char *id, const char *images, const struct json_t *object);
bool list_object_key(const char *key, int64_t n);
/* One more `what` that is not read. */
void list_passed(Listing *l, const char *what);
/* e says what is bad: false, or with on_bad = "skip" true, counted, and e is empty again.  Other errors than EXIT_DATA stay. */
bool list_bad(Listing *l, Err *e);
/* sum += x */
void list_count_add(ListCount *sum, const ListCount *x);
