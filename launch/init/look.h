/*
 * look.h -- what a user's data are, before anything is packed: counted by the readers that pack has
 *
 * Every record is read, one at a time, and each picture that it names is looked for; the headers of LOOK_SIZES pictures and the pixels of
 * LOOK_PIXELS, spread evenly over all, are read, too.  Memory is 8 bytes a record.  Other sources than plain JSON are listed into a file in
 * $TMPDIR first, which has no name.
 *
 * Errors: EXIT_DATA where there is nothing to read or a file is broken, as pack would say it.  Local.  Tests: tests/launch/init.sh
 */
#pragma once
#include "io/source/listing.h"
#include "io/source/llavaindex.h"
#include "launch/config/config.h"
#include "launch/init/script.h"

enum { LOOK_SIZES = 1024, LOOK_PIXELS = 256, LOOK_KINDS = 16, LOOK_BIN = 32, LOOK_BINS = 4096 };

/* What is read: the keys of the configuration of that name. */
typedef struct { int source; ConfigString json, images; } LookAt;

/* Records or pictures that pack would refuse, and the first one of them. */
typedef struct { char what[160], first[400]; int64_t n; } Trouble;

typedef struct {
    LookAt    at;
    int64_t   files, records, bad;              /* records: those that can be read; bad: those that cannot */
    int64_t   kinds[KINDS], pictures;           /* records without, with one, with several; pictures that they name */
    int64_t   turns, most_turns, answer_first, twice;   /* questions with their answers; of a record; records that are there twice */
    ScriptCount text;                           /* of questions and answers */
    int64_t   longest, bin[LOOK_BINS];          /* characters of a record; records by characters, LOOK_BIN each, the last one takes the rest */
    char     *longest_text, longest_id[128];
    ListCount listed;                           /* what is passed over */
    Trouble   trouble[LOOK_KINDS];
    int       troubles;
    int64_t   sized, decoded, broken;           /* pictures whose header, whose pixels were read; those of them that cannot be */
    int       w[LOOK_SIZES], h[LOOK_SIZES];     /* sorted, each for itself */
    char      picture[CONFIG_STRING], question[256], answer[256];   /* of the first record with one picture in a file of its own: asked about it; "" */
    double    seconds;
} Look;

/* data.on_bad is "skip" here: everything is looked at.  False with e: nothing to train on; *l then has what was seen.  To be freed. */
bool look_open(Look *l, const LookAt *at, Err *e);
void look_free(Look *l);
/* Counts one that e is about; e is empty again. */
void look_trouble(Look *l, Err *e);
/* The page for people. */
void look_print(const Look *l, FILE *f);
/* Characters that all but one of a hundred records have at most. */
int64_t look_most(const Look *l);

/* ---- pictures, a sample of them ---- */

typedef struct { PictureRef ref; char *path, *column; } LookPicture;
typedef struct { LookPicture p[LOOK_SIZES]; int n; int64_t every, seen; } LookSample;
/* One more picture: every 2^k'th is kept, so that there are never more than LOOK_SIZES. */
void look_keep(LookSample *s, const PictureRef *ref);
/* Reads headers and pixels into l. */
bool look_pictures(Look *l, LookSample *s, Err *e);
void look_forget(LookSample *s);
