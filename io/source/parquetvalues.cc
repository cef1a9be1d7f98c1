/* parquetvalues.cc -- values of Arrow arrays for the module asvr-parquet.so (parquetvalues.h) */
#include "io/source/parquetvalues.h"

#include <cstdio>

using arrow::Array;
using arrow::DataType;

namespace { constexpr int DEEP = 16; }

void parquet_ok(const arrow::Status &s)
{
    if (!s.ok())
        throw Failure{ s.message() };
}

bool parquet_is_text(const DataType &t) { return t.id() == arrow::Type::STRING || t.id() == arrow::Type::LARGE_STRING; }
bool parquet_is_bytes(const DataType &t) { return t.id() == arrow::Type::BINARY || t.id() == arrow::Type::LARGE_BINARY; }
bool parquet_is_list(const DataType &t) { return t.id() == arrow::Type::LIST || t.id() == arrow::Type::LARGE_LIST; }

void parquet_put_string(std::string &out, std::string_view s)
{
    out += '"';
    for (const char c : s) {
        const unsigned char u = (unsigned char)c;
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (u < ' ') {
            char code[8];
            snprintf(code, sizeof code, "\\u%04x", u);
            out += code;
        } else {
            out += c;
        }
    }
    out += '"';
}

bool parquet_text(const Array &a, int64_t i, std::string_view *s)
{
    if (a.IsNull(i))
        return false;
    switch (a.type_id()) {
    case arrow::Type::STRING: case arrow::Type::BINARY:             *s = static_cast<const arrow::BinaryArray &>(a).GetView(i); return true;
    case arrow::Type::LARGE_STRING: case arrow::Type::LARGE_BINARY: *s = static_cast<const arrow::LargeBinaryArray &>(a).GetView(i); return true;
    default: return false;
    }
}

bool parquet_list(const Array &a, int64_t i, std::shared_ptr<Array> *values, int64_t *from, int64_t *n)
{
    if (!parquet_is_list(*a.type()) || a.IsNull(i))
        return false;
    if (a.type_id() == arrow::Type::LIST) {
        const auto &l = static_cast<const arrow::ListArray &>(a);
        *values = l.values(), *from = l.value_offset(i), *n = l.value_length(i);
    } else {
        const auto &l = static_cast<const arrow::LargeListArray &>(a);
        *values = l.values(), *from = l.value_offset(i), *n = l.value_length(i);
    }
    return true;
}

void parquet_put_json(std::string &out, const Array &a, int64_t i, int deep)
{
    std::string_view s;
    std::shared_ptr<Array> values;
    int64_t from, n;
    if (deep > DEEP)
        throw Failure{ "a column nests more than 16 deep" };
    if (a.IsNull(i)) {
        out += "null";
    } else if (parquet_is_text(*a.type()) && parquet_text(a, i, &s)) {
        parquet_put_string(out, s);
    } else if (parquet_list(a, i, &values, &from, &n)) {
        out += '[';
        for (int64_t k = 0; k < n; k++) {
            out += k ? "," : "";
            parquet_put_json(out, *values, from + k, deep + 1);
        }
        out += ']';
    } else if (a.type_id() == arrow::Type::STRUCT) {
        const auto &t = static_cast<const arrow::StructArray &>(a);
        out += '{';
        for (int k = 0; k < t.num_fields(); k++) {
            out += k ? "," : "";
            parquet_put_string(out, t.struct_type()->field(k)->name());
            out += ':';
            parquet_put_json(out, *t.field(k), i, deep + 1);
        }
        out += '}';
    } else if (arrow::is_integer(a.type_id()) || a.type_id() == arrow::Type::BOOL) {
        auto scalar = a.GetScalar(i);
        parquet_ok(scalar.status());
        out += scalar.ValueUnsafe()->ToString();
    } else {
        out += "null";
    }
}

void parquet_put_texts(std::string &out, const Array &values, int64_t from, int64_t n)
{
    const auto *t = dynamic_cast<const arrow::StructArray *>(&values);
    const auto user = t ? t->GetFieldByName("user") : nullptr, assistant = t ? t->GetFieldByName("assistant") : nullptr;
    if (!user || !assistant)
        throw Failure{ "column \"texts\" is no list of {user, assistant}" };
    out += '[';
    for (int64_t k = 0; k < n; k++) {
        out += k ? ",{\"from\":\"human\",\"value\":" : "{\"from\":\"human\",\"value\":";
        parquet_put_json(out, *user, from + k, 0);
        out += "},{\"from\":\"gpt\",\"value\":";
        parquet_put_json(out, *assistant, from + k, 0);
        out += '}';
    }
    out += ']';
}
