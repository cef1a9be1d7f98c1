/*
 * compose.h -- from a composition to pixels
 *
 * A background of a named color (plain, graded or textured), then the cut-outs in order, resampled by area
 * average with premultiplied alpha.  Integers only: the same bytes from every compiler.
 *
 * Local.  Tests: tests/io/scenes/test_scenes.c
 */
#pragma once
#include "core/rng.h"
#include "io/scenes/cutouts.h"

enum { SCENE_OBJECTS, SCENE_ODD, SCENE_LETTERS, SCENE_WORDS, SCENE_KINDS };
enum { PLACE_TOP_LEFT, PLACE_TOP_RIGHT, PLACE_BOTTOM_LEFT, PLACE_BOTTOM_RIGHT, PLACE_TOP, PLACE_CENTER, PLACE_BOTTOM };
enum { COLORS = 8, WORDS = 64, ITEMS = 4 };
enum { STYLE_PLAIN, STYLE_GRADED, STYLE_TEXTURED };

extern const char *const color_name[COLORS];
extern const char *const word_list[WORDS];     /* three capitals each */

typedef struct {
    int  thing;                                /* index of a thing, a letter or a word, by the scene's kind */
    int  place;
    bool large;
} Item;

/* All that is said about a scene; its picture adds only jitter. */
typedef struct {
    int  kind, n;
    int  color, style;
    bool sized;                                /* two sizes occur and may be asked about */
    Item item[ITEMS];
} Composition;

/* A thing for a scene of this kind, all categories equally likely; one that is not in k. */
int composition_draw(int kind, const Cutouts *c, Rng *r);
int composition_absent(const Composition *k, const Cutouts *c, Rng *r);

/* px (size,size,3); jitter and shades come from r. */
void compose(uint8_t *px, int size, int level, const Composition *k, const Cutouts *c, Rng *r);
