/*
 * base.h -- what every file shares: the legend of dims, exit codes, CHECK / ASSERT / die
 *
 *     B sequences      T tokens           N rows (packed tokens of all sequences)
 *     C model width    F FFN width        H heads          K kv heads       D head dim     L layers
 *     V text vocabulary                   I images         P patches per image             Cv vision width
 *     Q code depth     S codebook size    E visual-head width
 *     suffix l = this tensor-parallel rank's share (Hl = H / tp->size)
 *
 * `int` for dims, `int64_t` for counts and offsets, `size_t` for bytes only.  Shapes in comments: (N,C).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Exit codes of the program (docs/FORMATS.md). */
enum {
    EXIT_DONE = 0, EXIT_USAGE = 64, EXIT_DATA = 65, EXIT_INTERNAL = 70, EXIT_IO = 74,
    EXIT_SAVED = 75, EXIT_UNSAVED = 76, EXIT_CONFIG = 78, EXIT_NUMERIC = 79, EXIT_HANG = 80
};

/* A label that is not to be learned; the token id that stands where an image's rows go. */
enum { IGNORE = -100, IMAGE_TOKEN = -200 };

/* Prints "rank, host, file:line: message" to stderr, calls die_hook if set, exits with `code`.  Never returns. */
_Noreturn void die_at(int code, const char *file, int line, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* launch sets it to MPI_Abort; core itself knows no MPI. */
extern void (*die_hook)(int code);
/* What die_at prints in front of the message ("rank 3 on n7"); launch fills it in. */
extern char die_who[128];
/* The message, for die_hook. */
extern char die_text[1024];
/* Seconds that die_at waits before it speaks.  Ranks often fail alike: the first one speaks at once and ends the others
   before they repeat it; launch gives those some. */
extern double die_patience;

/* The machine failed (memory, disk, network): always checked. */
#define CHECK(cond, ...) ((cond) ? (void)0 : die_at(EXIT_INTERNAL, __FILE__, __LINE__, __VA_ARGS__))
/* We are wrong: checked in tests and debug builds. */
#ifdef NDEBUG
enum { DEBUG_CHECKS = 0 };               /* checks that cost more than a condition */
#define ASSERT(cond) ((void)0)
#else
enum { DEBUG_CHECKS = 1 };
#define ASSERT(cond) ((cond) ? (void)0 : die_at(EXIT_INTERNAL, __FILE__, __LINE__, "assertion failed: %s", #cond))
#endif

static inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static inline int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }

/* Seconds of a monotonic clock; its zero means nothing. */
double now(void);
