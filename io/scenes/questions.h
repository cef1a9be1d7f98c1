/*
 * questions.h -- what can be said and asked about a composition
 *
 *     caption   "a large dog at the top left and a small car at the bottom right on a blue background"
 *     relation  "is the dog left of the car?"  both orders are equally likely
 *     living    asked of an inanimate thing as often as of a living one, whatever their shares are
 *
 * Whether something exists is planned before the scene is composed (scenes.c), for only then are yes and no
 * independent of what is asked.  Local.  Tests: tests/io/scenes/test_scenes.c
 */
#pragma once
#include "io/scenes/compose.h"
#include "io/scenes/scenes.h"

typedef struct {
    int  thing;                                /* -1 = not asked */
    bool present;
} Asked;

void scene_caption(Scene *out, const Composition *k, const Cutouts *c);
void scene_questions(Scene *out, const Composition *k, const Asked *exists, const Asked *hard, const Cutouts *c, Rng *r);
