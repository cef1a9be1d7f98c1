/*
 * parquet.h -- parquet files through the module that reads them (parquetops.h), loaded at the first call
 *
 * Errors: EXIT_CONFIG with a hint where there is no module, EXIT_DATA at the file.  Local.  Tests as there.
 */
#pragma once
#include "io/base/err.h"
#include "io/source/parquetops.h"

ParquetFile *parquet_open(const char *path, const char *name, Err *e);
void         parquet_close(ParquetFile *f);
bool         parquet_picture(ParquetFile *f, const char *place, int64_t row, const char *column, int64_t index, const uint8_t **bytes,
                             size_t *n, Err *e);
