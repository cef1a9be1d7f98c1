/*
 * dataurl.h -- "data:image/png;base64,iVBORw0..." -> bytes
 *
 * Base64 as RFC 4648 has it: its 64 letters, "=" at the end alone, no blanks, no bits left over.  Any media type that begins with image/,
 * or none: what the bytes are, they say themselves.  Local; any thread.  Tests: tests/fuzz/fuzz_chatrequest.c, tests/launch/serve.sh
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum { DATA_GIVEN, DATA_FETCH /* http:, ftp: ... */, DATA_OTHER /* no data URL of a picture */, DATA_BROKEN /* no base64 */, DATA_EMPTY } DataUrl;

/* url of n bytes -> *bytes, to be freed, where it is DATA_GIVEN. */
DataUrl dataurl_read(const char *url, size_t n, uint8_t **bytes, size_t *n_bytes);
