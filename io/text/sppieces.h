/*
 * sppieces.h -- what is in a SentencePiece model: its pieces with scores and kinds, and how it treats blanks
 *
 * For those who write the same vocabulary in another format.  The file is one that text_open has taken: sp_check has walked
 * through its fields; here each length is compared with what holds it again.
 *
 * Local.  Errors  EXIT_IO, EXIT_DATA  Source  SentencePiece, sentencepiece_model.proto (field numbers)
 * Tests   tests/io/text/test_sppieces.c, tests/fuzz/fuzz_text.c
 */
#pragma once
#include "io/base/err.h"

enum { SP_NORMAL = 1, SP_UNKNOWN, SP_CONTROL, SP_USER, SP_UNUSED, SP_BYTE };       /* kinds of pieces */
enum { SP_UNIGRAM = 1, SP_BPE };                                                  /* kinds of models; there are others */

typedef struct {
    const char *text;               /* size bytes, in the model's own; no NUL behind them */
    int         size, kind;
    float       score;
} SpPiece;

typedef struct {
    char    *model;
    SpPiece *piece;                 /* (pieces), by id */
    int      pieces, kind;
    uint64_t hash;                  /* as text_hash */
    bool     bytes;                 /* what has no piece is spelt in bytes */
    bool     prefix;                /* a blank is put in front of a text */
    bool     collapse;              /* several blanks become one */
    bool     plain;                 /* characters stay what they are; blanks become U+2581, in front of a word */
} SpPieces;

/* sppieces_close in either case. */
bool sppieces_open(SpPieces *s, const char *path, Err *e);
bool sppieces_read(SpPieces *s, const char *model, size_t bytes, const char *path, Err *e);
void sppieces_close(SpPieces *s);
