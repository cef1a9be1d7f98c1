/*
 * listed.h -- what pack reads as LLaVA records: the user's JSON itself, or a listing of another source that lasts as long as pack
 *
 *     data.source = llava, one plain file      data.json, read at its place
 *     else                                     DIR/.listing-NAME-TOKEN, beside data.set (DIR/NAME): one JSON line a record
 *
 * Each rank lists its share of the files in their order; rank 0 puts the parts behind each other, so the bytes are the same for
 * any number of ranks.  Whoever writes a listing has it locked: what a pack that was killed left is not, and the next one
 * for this data set removes it.
 *
 * json: data.json or data.val_json; the latter's listing is .listing-NAME-TOKEN.val.
 *
 * Collective over comm, but for the closing.  Tests: tests/launch/sources.sh
 */
#pragma once
#include <mpi.h>

#include "io/base/files.h"
#include "io/source/listing.h"
#include "launch/config/config.h"

typedef struct {
    char      path[PATH_ROOM], root[PATH_ROOM];     /* of the records; of their pictures, "" for none */
    char      shown[256];          /* what messages call it; "": path */
    int64_t   files;
    ListCount count;               /* of all ranks, on rank 0 */
    int       fd;                  /* of the listing, or -1; rank 0 */
} Listed;

/* False with e set on one rank at least. */
bool listed_open(Listed *l, const Config *c, const char *json, MPI_Comm comm, Err *e);
/* What was listed and what was not, on stdout and stderr; rank 0. */
void listed_say(const Listed *l, const Config *c);
/* Removes the listing. */
void listed_close(Listed *l);
