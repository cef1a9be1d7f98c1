/*
 * sheet.h -- a contact sheet: pictures, each with its question, its answer and the right one, as one PNG
 *
 * Local, rank 0.  Needs the image module (io/image/image.h).
 */
#pragma once
#include "io/base/err.h"

typedef struct {
    int      task;
    bool     good;                 /* the answer is right */
    char     question[256], answer[128], right[128];
    uint8_t *pixels;               /* (size,size,3) */
} Shown;

/* Right answers are framed green, wrong ones red. */
bool sheet_write(const char *path, const Shown *shown, int n, int size, Err *e);
