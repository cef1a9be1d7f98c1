/*
 * llava.h -- conversations about pictures: a JSON array, or one JSON object a line, read record by record
 *
 *     [ { "id": "17", "image": "cat/17.jpg",
 *         "conversations": [ {"from": "human", "value": "<image>\nWhat is it?"}, {"from": "gpt", "value": "A cat."} ] }, ... ]
 *
 * and the other forms that people have: media.h says how a record names pictures, root.h which paths it may name, turns.h who
 * says what, asked.h which answers are right, jsonplain.h what JSON may look like.  "id" is for messages; keys that nobody reads may hold anything.
 * "<image>" stays where it stands in the turns.
 *
 * The file never lies in memory whole: jsonscan.h finds where a record ends, then jansson parses that record.
 * Records nest at most 64 deep and hold at most 16 MiB (JSON_DEPTH, JSON_BYTES).
 *
 *     bad record    no conversation that we know, a picture that is missing or may not be read, another medium, twice the same key
 *                   or bad Unicode in what is read, too deep or too long; in JSON Lines also a line that is no JSON
 *                       -> -1; the next call goes on with the next record
 *     broken file   an array that is no JSON, or cut off        -> -1; so does every later call, until llava_seek
 *
 * Both are EXIT_DATA with "FILE: record 12, byte 3456" (counted from 0) in e->where, and ", turn 3" where it is one's fault.  Local.
 * Tests   tests/io/source/{test_llava,test_hostile_record,test_turns,test_lines}.c
 */
#pragma once
#include "io/base/err.h"
#include "io/source/asked.h"
#include "io/source/jsonscan.h"
#include "io/source/picture.h"
#include "io/text/prompt.h"

typedef struct Llava Llava;

/* All pointers are valid until the next call. */
typedef struct {
    const PictureRef *image;           /* (images) */
    int         images;
    Turn       *turns;                 /* (n) */
    int         n;
    int64_t     record, offset;        /* number in the file, byte where it begins; both are set for a bad record too */
    const char *text;                  /* (bytes) its JSON; of a bad one as much as was kept */
    int64_t     bytes;
    const char *id;                    /* "" where absent */
    const char *system;                /* NULL where absent */
    bool        answer_first;          /* it began with an answer, which was left out */
    const Asked *asked;                /* its last question's right answers, where it says some (n > 0), and task */
} LlavaRecord;

/* images_root NULL or "": no picture may be named; it and follow_links as in root.h.  NULL with EXIT_DATA where there is no file,
   no folder, or no record. */
Llava *llava_open(const char *json, const char *images_root, bool follow_links, Err *e);
void   llava_close(Llava *l);

int    llava_next(Llava *l, LlavaRecord *out, Err *e);       /* 1: a record, 0: the end, -1: see above */
/* Goes to the byte where record number `record` begins (llavaindex.h finds them): llava_next gives that one, then those
   behind it. */
void   llava_seek(Llava *l, int64_t offset, int64_t record);
/* The scanner below: where the first record begins, the file's size, and whether and how it is broken. */
JsonScan *llava_scan(Llava *l);
