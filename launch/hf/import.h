/*
 * import.h -- one import under way: which tensor of the files is which of ours (importplan.c), what is written (importwrite.c), the
 * verb (import.c)
 *
 * The model's table says what there is; its weights are never allocated: each rank reads its rows of the files a few MiB at a time
 * and writes them into the checkpoint (io/ckpt/ckptstream.h), so memory does not depend on the model's size.
 *
 * Collective over all ranks unless it says Local, the same answer on each.
 * Tests   tests/launch/hf.sh, tests/launch/hfrun.sh, tests/peers/check_import.sh
 */
#pragma once
#include "io/hf/hfmap.h"
#include "launch/hf/hffiles.h"
#include "launch/run.h"

typedef struct { const StTensor *tensor; HfPiece piece; } ImportSource;

/* What config.json says of lm_head, and what the files hold; words for those that differ, or "". */
enum { TIE_UNSAID = -1, TIE_OWN, TIE_EMBED };

typedef struct {
    Run       r;
    St        files;
    unsigned  parts;                /* found in the files */
    uint64_t  modules;
    bool      adapter;              /* low-rank pairs alone (importadapter.c) */
    bool     *carried;              /* by tensor: known, but not of this model */
    ImportSource *source;           /* by parameter of the model */
    int      *of;                   /* parameters by what is saved */
    const StTensor *twin;           /* an lm_head in the files of a model whose lm_head is its embedding */
    int       says;                 /* TIE_... of config.json */
    bool      tied;                 /* decoder.lm_head is filled from the embedding */
    char      note[256];            /* of a contradiction */
    bool      opened, made;         /* rank 0: import.to is this import's; it was not there before */
    bool      leased;               /* rank 0: there was a lease before */
} Import;

/* hf_pieces of this model: beside CLIP's tower its text tower and its scale are nobody's (0, as of all that is carried).  Local. */
int  import_pieces(const Import *m, const char *name, HfPiece piece[HF_PIECES]);
/* Every tensor of the files has its place, each of the model's its values.  Local, the same on all ranks. */
bool import_match(Import *m, Err *e);
/* Is lm_head the embedding?  The files decide; what config.json and the configuration say otherwise is noted, or refused. */
bool import_tie(Import *m, Err *e);
/* Does its value start from the table of the codebook?  Local. */
bool import_from_table(const char *name);

/* Is import.from a folder of peft's? */
bool import_is_adapter(const Import *m);
/* Its import: an exit code. */
int  import_adapter(Import *m, Err *e);
/* "FILE, byte 1234".  Local. */
void import_place(const Import *m, const StTensor *t, char where[sizeof ((Err *)0)->where]);
/* Takes import.to. */
bool import_open(Import *m, Err *e);

/* RUN/hf: small files, headers, what the model does not use. */
bool import_folder(const Import *m, Err *e);
bool import_save(Import *m, Err *e);
/* Removes what a failed import has made.  Local, rank 0. */
void import_clear(Import *m);
