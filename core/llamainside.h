/*
 * llamainside.h -- what the decoder's files share: which rank has which kv heads
 *
 * Local.
 */
#pragma once
#include "core/llama.h"

/* With fewer kv heads than tp ranks each lies on `holders` neighbours, those whose query heads read it. */
static inline int holders(const LlamaDims *d, int ranks) { return (int)max64(1, ranks / d->K); }
static inline int kv_here(const LlamaDims *d, const Tp *tp) { return (int)max64(1, d->K / tp->size); }
static inline bool speaks(const LlamaDims *d, const Tp *tp) { return tp->rank % holders(d, tp->size) == 0; }
