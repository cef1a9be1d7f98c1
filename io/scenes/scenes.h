/*
 * scenes.h -- cut-outs composed into scenes with known questions and answers
 *
 *     a scene   1 to 4 cut-outs in a 2x2 grid of places, or four of which one is odd, or letters, or words
 *               of three letters; a background of a named color; a caption; questions of 14 tasks
 *     sample i  = f(seed, eval, i) and of nothing else: not of the rank, nor of what was made before
 *
 * The things of a scene, and what is asked whether it exists, are drawn first; places, sizes and background are
 * then redrawn until a hash of the composition falls on the asked side: every eighth composition belongs to
 * evaluation, for every seed.  So a training scene never shows what an evaluation scene shows, and no answer
 * becomes likelier by the split.
 *
 * Answers are balanced, and a question's words say nothing about its answer: places, orders, and yes or no
 * are drawn evenly and independently of the things that are named.
 *
 * Local; a Scenes may be read by several threads at once.
 * Tests   tests/io/scenes/test_scenes.c
 */
#pragma once
#include "io/base/err.h"

enum {
    TASK_NAME, TASK_CATEGORY, TASK_CAPTION, TASK_BACKGROUND, TASK_LETTER, TASK_WORD, TASK_LIVING, TASK_COUNT,
    TASK_POSITION, TASK_RELATION, TASK_SIZE, TASK_ODD, TASK_EXISTS, TASK_EXISTS_HARD, TASKS
};

/* A task's name as reports print it ("exists-hard"). */
const char *scene_task(int task);

typedef struct {
    int  task;
    char question[160], answer[48];
} SceneQuestion;

enum { SCENE_QUESTIONS = 24 };

typedef struct {
    uint64_t id;                               /* of what is shown where: evaluation and training share none */
    char caption[400];
    int  n;
    SceneQuestion q[SCENE_QUESTIONS];          /* shuffled, no question twice */
} Scene;

typedef struct Scenes Scenes;

/* cutouts      a folder of PNG files with alpha, each with a caption in a .txt beside it; "" = drawn by the program
   max_cutouts  0 = all; else so many, distinct in look and name, spread evenly over the categories
   size         side of the pictures in pixels
   level        1 = large cut-outs on plain or graded backgrounds; 2 = two sizes, free places, textures
   NULL with e set when the folder cannot be read or holds too few usable cut-outs. */
Scenes *scenes_open(const char *cutouts, int max_cutouts, int size, uint64_t seed, int level, Err *e);
void    scenes_close(Scenes *s);

/* Sample i >= 0 of the training or evaluation stream.  pixels: (size,size,3), or NULL for the text alone. */
void    scenes_make(const Scenes *s, bool eval, int64_t i, Scene *out, uint8_t *pixels);
