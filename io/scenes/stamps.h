/*
 * stamps.h -- what a folder of cut-outs holds: PNG files and the names that their captions give
 *
 *     NAME.png   NAME.txt, first line "A dog."     (Tux Paint's stamps are laid out so; lines below are translations)
 *
 *     name       the caption without article, size and color; lower case, one or two words in the singular, else the
 *                file is passed over
 *     category   the top folder in a plain word ("animals" -> animal)
 *     letters    captions "The letter X." below a folder "uppercase"
 *
 * Reads the captions, no picture.  Files are taken in the order of their bytes.  Local.
 * Tests   tests/io/scenes/test_scenes.c
 */
#pragma once
#include "core/base.h"

enum { LETTERS = 26 };

typedef struct {
    char *path, name[24], category[24];
    int   words;                               /* of the name */
} Stamp;

typedef struct {
    const char *folder;
    Stamp *at;                                 /* (n), by category; within one the plainest names first */
    int    n, room;
    char  *letter[LETTERS];                    /* paths; NULL = not there */
} Stamps;

bool stamps_find(Stamps *f, const char *folder);      /* false with errno: the folder cannot be read */
void stamps_free(Stamps *f);
