/*
 * parquetvalues.h -- one value of an Arrow array: as text, as a list, as JSON (inside asvr-parquet.so)
 *
 * C++.  What is wrong is thrown as Failure; parquetmodule.cc turns it into a reason.  Local.  Tests: tests/peers/parquet.py
 */
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include <arrow/api.h>

struct Failure { std::string why; };

void parquet_ok(const arrow::Status &s);
bool parquet_is_text(const arrow::DataType &t);
bool parquet_is_bytes(const arrow::DataType &t);
bool parquet_is_list(const arrow::DataType &t);

/* Appends a JSON string. */
void parquet_put_string(std::string &out, std::string_view s);
/* Text or bytes of value i; false: it is null, or of another type. */
bool parquet_text(const arrow::Array &a, int64_t i, std::string_view *s);
/* The elements of list i: [from, from + n) of `values`. */
bool parquet_list(const arrow::Array &a, int64_t i, std::shared_ptr<arrow::Array> *values, int64_t *from, int64_t *n);
/* Any value as JSON; what JSON has no word for is null.  deep: 0. */
void parquet_put_json(std::string &out, const arrow::Array &a, int64_t i, int deep);
/* [{"user": q, "assistant": a}, ...] as human and gpt in turn. */
void parquet_put_texts(std::string &out, const arrow::Array &values, int64_t from, int64_t n);
