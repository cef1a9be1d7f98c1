/*
 * store.h -- placeholder until merged
 */
#pragma once
#include "core/base.h"
enum { STORE_RAW, STORE_DELTA, STORES };
extern const char *const store_names[];
int  store_find(const char *name);
void store_encode(uint8_t *out, const uint8_t *px, int64_t pictures, int side);
void store_decode(uint8_t *px, int64_t pictures, int side);
