/*
 * indexinside.h -- what the files of the index share; nobody else includes it
 */
#pragma once
#include "io/set/index.h"

/* The JSON of an index, to be freed. */
char   *index_json(const Index *x);
/* Fills x from it; believes nothing.  tables: bytes of all blocks. */
bool    index_parse(Index *x, const char *json, size_t n, int64_t tables, Err *e);
/* What the index of this name may be told of it: EXIT_DATA with a hint to pack again.  Returns false. */
bool    index_bad(const Index *x, Err *e, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Bytes of a shard's tables. */
int64_t index_table_bytes(const Index *x, const IndexShard *s);
/* The XXH64 over head (up to the first block) and hashes. */
uint64_t index_hash(const void *head, int64_t n, const uint64_t *hash, int64_t blocks);
