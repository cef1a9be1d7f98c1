/*
 * spcheck.h -- is a SentencePiece model fit for the library?  Read by ourselves first, for the library believes the file
 *
 *     ModelProto      pieces (1) { piece (1), score (2), type (3) }    trainer_spec (2)    normalizer_spec (3), denormalizer_spec (5)
 *     normalizer      precompiled_charsmap (2): uint32 n, a double array of n bytes, texts that end in a zero byte
 *
 * The library walks that double array without looking where it ends, and takes the best of scores that may be NaN.  Here each
 * unit of the array must lead to a block inside it, each leaf to a text that ends, no text may be longer than SP_TEXT, and
 * scores are finite.  Of the rest of the file: the fields lie inside one another, and there are no groups.
 *
 * Local.  Source  sentencepiece_model.proto; darts-clone (the units)
 * Tests   tests/io/text/test_text.c, tests/fuzz/fuzz_text.c
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SP_TEXT = 1024 };

/* False: why says what is wrong, and at which byte. */
bool sp_check(const uint8_t *model, size_t n, char *why, size_t cap);
