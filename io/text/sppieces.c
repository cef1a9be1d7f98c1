#include "io/text/sppieces.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "io/base/files.h"

enum { MODEL_BYTES = 64 << 20 };
enum { VARINT, FIXED64, BYTES, FIXED32 = 5 };

typedef struct { const unsigned char *at, *end; } Part;
typedef struct { uint64_t number, value; int type; Part part; } Field;

static bool varint(Part *p, uint64_t *x)
{
    *x = 0;
    for (int shift = 0; shift < 64 && p->at < p->end; shift += 7) {
        *x |= (uint64_t)(*p->at & 127) << shift;
        if (*p->at++ < 128)
            return true;
    }
    return false;
}

/* False where the message is cut short or of a kind that no model has. */
static bool next_field(Part *p, Field *f)
{
    uint64_t key, n = 0;
    if (!varint(p, &key))
        return false;
    f->number = key >> 3, f->type = (int)(key & 7), f->value = 0, f->part = (Part){ p->at, p->at };
    if (f->type == VARINT)
        return varint(p, &f->value);
    if (f->type == BYTES ? !varint(p, &n) : f->type != FIXED32 && f->type != FIXED64)
        return false;
    n = f->type == FIXED32 ? 4 : f->type == FIXED64 ? 8 : n;
    if (n > (uint64_t)(p->end - p->at))
        return false;
    f->part = (Part){ p->at, p->at + n };
    p->at += n;
    return true;
}

static bool read_piece(Part p, SpPiece *piece)
{
    *piece = (SpPiece){ .text = "", .kind = SP_NORMAL };
    for (Field f; p.at < p.end; ) {
        if (!next_field(&p, &f))
            return false;
        if (f.number == 1 && f.type == BYTES) {
            piece->text = (const char *)f.part.at;
            piece->size = (int)(f.part.end - f.part.at);
        } else if (f.number == 2 && f.type == FIXED32) {
            const unsigned char *b = f.part.at;
            const uint32_t bits = (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
            memcpy(&piece->score, &bits, sizeof bits);
        } else if (f.number == 3 && f.type == VARINT) {
            piece->kind = f.value <= SP_BYTE ? (int)f.value : 0;
        }
    }
    return true;
}

static bool read_trainer(Part p, SpPieces *s)
{
    for (Field f; p.at < p.end; ) {
        if (!next_field(&p, &f))
            return false;
        if (f.number == 3 && f.type == VARINT)
            s->kind = f.value < 100 ? (int)f.value : 0;
        if (f.number == 24 && f.type == VARINT && f.value)           /* blanks behind a word */
            s->plain = false;
        if (f.number == 35 && f.type == VARINT)
            s->bytes = f.value != 0;
    }
    return true;
}

static bool read_normalizer(Part p, SpPieces *s)
{
    for (Field f; p.at < p.end; ) {
        if (!next_field(&p, &f))
            return false;
        if (f.number == 2 && f.type == BYTES && f.part.end > f.part.at)
            s->plain = false;
        if (f.number == 3 && f.type == VARINT)
            s->prefix = f.value != 0;
        if (f.number == 4 && f.type == VARINT)
            s->collapse = f.value != 0;
        if (f.number == 5 && f.type == VARINT && !f.value)
            s->plain = false;
    }
    return true;
}

static bool add_piece(SpPieces *s, Part p, int *room)
{
    if (s->pieces == *room) {
        if (*room > INT_MAX / 2)
            return false;
        *room = *room ? 2 * *room : 1024;
        s->piece = realloc(s->piece, (size_t)*room * sizeof *s->piece);
        CHECK(s->piece, "no memory for %d pieces", *room);
    }
    return read_piece(p, &s->piece[s->pieces++]);
}

static bool read_model(SpPieces *s, size_t bytes)
{
    Part p = { (const unsigned char *)s->model, (const unsigned char *)s->model + bytes };
    int room = 0;
    for (Field f; p.at < p.end; ) {
        if (!next_field(&p, &f))
            return false;
        if (f.type == BYTES && ((f.number == 1 && !add_piece(s, f.part, &room)) || (f.number == 2 && !read_trainer(f.part, s)) ||
                                (f.number == 3 && !read_normalizer(f.part, s))))
            return false;
    }
    return true;
}

bool sppieces_read(SpPieces *s, const char *model, size_t bytes, const char *path, Err *e)
{
    *s = (SpPieces){ .model = malloc(bytes + 1), .kind = SP_UNIGRAM, .hash = XXH64(model, bytes, 0), .prefix = true, .collapse = true, .plain = true };
    CHECK(s->model, "no memory for a text model of %zu bytes", bytes);
    memcpy(s->model, model, bytes);
    return read_model(s, bytes) || err_set(e, EXIT_DATA, path, "", "this is no SentencePiece model");
}

bool sppieces_open(SpPieces *s, const char *path, Err *e)
{
    char *model;
    size_t n;
    *s = (SpPieces){ 0 };
    if (!file_read(path, MODEL_BYTES, &model, &n, e))
        return false;
    const bool ok = sppieces_read(s, model, n, path, e);
    free(model);
    return ok;
}

void sppieces_close(SpPieces *s)
{
    free(s->piece);
    free(s->model);
    *s = (SpPieces){ 0 };
}
