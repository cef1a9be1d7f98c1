/*
 * pictureload.h -- the pixels of a picture, wherever it lies: a file of its own, a piece of a file, a cell of a table (picture.h)
 *
 * The container read last stays open.  A piece of more than 8 bytes a pixel that is allowed is EXIT_DATA before it is read.
 * Errors: EXIT_DATA at "FILE: byte 512", "FILE: row 12", or the file.  Local.  Tests: tests/launch/sources.sh
 */
#pragma once
#include "io/image/image.h"
#include "io/source/picture.h"

typedef struct Pictures Pictures;

/* Loads the decoders; pictures may have so many pixels.  NULL as image_ops. */
Pictures *pictures_open(int64_t max_pixels, Err *e);
void      pictures_close(Pictures *p);
/* out (size, size, 3), as ImageOps.load_square */
bool      pictures_square(Pictures *p, uint8_t *out, const PictureRef *ref, int size, int fit, Err *e);
/* What its first bytes claim (header.h), w and h 0 where they claim nothing; a piece or a cell is read for it. */
bool      pictures_size(Pictures *p, const PictureRef *ref, int64_t *w, int64_t *h, Err *e);
