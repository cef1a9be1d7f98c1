/*
 * sealed_index.h -- an index file out of its JSON, a zero byte and its tables: first line, blocks and hashes made right
 */
#pragma once
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "io/set/indexinside.h"

static inline uint8_t *index_sealed(const uint8_t *data, size_t size, size_t *n)
{
    enum { LINE = 64 };
    const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
    const size_t json = zero ? (size_t)(zero - data) : size, tables = zero ? size - json - 1 : 0;
    const size_t blocks = (tables + INDEX_BLOCK - 1) / INDEX_BLOCK, first = (LINE + json + INDEX_BLOCK - 1) / INDEX_BLOCK * INDEX_BLOCK;
    *n = first + blocks * (INDEX_BLOCK + sizeof(uint64_t));
    uint8_t *out = calloc(*n + 1, 1);
    CHECK(out, "no memory");
    memset(out, '\n', first);
    const int line = snprintf((char *)out, LINE, "asvr-set 1 0000000000000000 %010zu %010zu", json, blocks);
    memset(out + line, ' ', (size_t)(LINE - 1 - line));
    memcpy(out + LINE, data, json);
    if (tables)
        memcpy(out + first, zero + 1, tables);
    uint64_t *hash = (uint64_t *)(void *)(out + first + blocks * INDEX_BLOCK);
    for (size_t b = 0; b < blocks; b++)
        hash[b] = XXH64(out + first + b * INDEX_BLOCK, INDEX_BLOCK, 0);
    char hex[17];
    snprintf(hex, sizeof hex, "%016llx", (unsigned long long)index_hash(out, (int64_t)first, hash, (int64_t)blocks));
    memcpy(out + 11, hex, 16);
    return out;
}
