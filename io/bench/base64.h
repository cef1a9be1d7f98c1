/*
 * base64.h -- bytes out of their base64 text
 *
 * The alphabet of RFC 4648 with + and /, or with - and _; blanks and line ends between are passed over; "=" at the end may be missing.
 * A "data:image/png;base64," in front is not part of it.  Local.  Tests: tests/io/bench/test_tsv.c
 */
#pragma once
#include "core/base.h"

/* text (n) -> out, in place if out == text; their number, or -1 - i where byte i of text is none of these. */
int64_t base64_decode(uint8_t *out, const char *text, size_t n);
