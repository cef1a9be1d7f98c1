/*
 * media.h -- what a record says about pictures, videos and sounds, under whatever key
 *
 *     pictures     image, images, image_path, img, picture, photo, file_name, ... (media.c has the table): a picture
 *                  (picture.h), or a list of them; two keys that name other pictures: bad
 *     not read     video, audio, frames, image_base64, ...: bad, unless they are empty
 *     looks so     any other key with "image", "video", "audio", ... in its name: bad where its value looks like a file's name
 *
 * A text that is the end of a longer path under a key that is read says nothing new: "file_name": "1.jpg" beside
 * "image": "train2017/1.jpg".
 * Empty is what picture_none says.  Addresses under image_url are passed over where another key names the picture.
 * Nothing that a record says about a medium is dropped without a word.
 *
 * Local.  Tests: tests/io/source/test_turns.c, tests/launch/llava.sh
 */
#pragma once
#include "io/source/picture.h"

enum { MEDIA_PICTURES = 16 };

typedef struct {
    const Root    *root;
    struct json_t *kept;                /* a list that owns the strings below */
    PictureRef     ref[MEDIA_PICTURES];
    int            n;
    int            parts;               /* pictures that are parts of turns (turns.h); their paths are in ref, if they have some */
} Media;

/* Does the key look like a medium's?  As JsonReads (jsonplain.h). */
bool media_key(const char *key, int64_t n);

/* Appends the pictures that j names, one or a list.  EXIT_DATA here and below, e->where is the caller's. */
bool media_add(Media *m, const struct json_t *j, Err *e);
/* The record's pictures; m then has them, or those of its parts, which are the same. */
bool media_record(Media *m, const struct json_t *record, Err *e);
/* An object that shall name no medium, a turn or a part of text: `what` is its name. */
bool media_none(const struct json_t *object, const char *what, Err *e);
