/* The module asvr-parquet.so: all that touches Arrow.  Compiled apart, loaded by parquet.c (io/source/parquetops.h). */
#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstring>
#include <exception>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <arrow/api.h>
#include <arrow/io/file.h>
#include <parquet/arrow/reader.h>
#include <parquet/file_reader.h>
#include <parquet/metadata.h>
#include <parquet/properties.h>
#include <parquet/schema.h>

extern "C" {
#include "io/source/parquetops.h"
}
#include "io/source/parquetvalues.h"

namespace {

constexpr int64_t BATCH = 16;          /* rows in hand: pictures are large */
constexpr int64_t BUFFER = 1 << 20;

using arrow::Array;
using arrow::DataType;
using Batches = std::unique_ptr<arrow::RecordBatchReader>;

/* Newer libraries return the reader, older ones take where to put it. */
template <class R> auto open_batches(R &r, const std::vector<int> &groups, const std::vector<int> &leaves, int)
    -> decltype(r.GetRecordBatchReader(groups, leaves).ok(), r.GetRecordBatchReader(groups, leaves).ValueUnsafe(), Batches())
{
    auto got = r.GetRecordBatchReader(groups, leaves);
    parquet_ok(got.status());
    return Batches(std::move(got).ValueUnsafe());
}
template <class R> auto open_batches(R &r, const std::vector<int> &groups, const std::vector<int> &leaves, long)
    -> decltype(r.GetRecordBatchReader(groups, leaves, (Batches *)nullptr), Batches())
{
    Batches out;
    parquet_ok(r.GetRecordBatchReader(groups, leaves, &out));
    return out;
}

enum Use { UNREAD, PICTURE, PICTURES, TURNS, TEXTS, QUESTION, ANSWER, CHOICES, TASK, CAPTION, ID };

struct Column {
    std::string name;
    Use use;
    std::vector<int> leaves;           /* its parquet columns */
    int bytes, beside;                 /* of a picture: the one with the bytes, one that tells where there are pictures, or -1 */
};

/* The rows of one column around one that was asked for. */
struct Cursor {
    Batches batches;
    std::shared_ptr<arrow::RecordBatch> batch;
    int group = -1;
    int64_t first = 0, end = 0;        /* rows of the batch, counted over the file */
};

std::string lower(std::string s)
{
    std::transform(s.begin(), s.end(), s.begin(), [](unsigned char c) { return std::tolower(c); });
    return s;
}

bool is_one_of(const std::string &name, std::initializer_list<const char *> names)
{
    return std::any_of(names.begin(), names.end(), [&](const char *n) { return name == n; });
}


const DataType &element(const DataType &t) { return *t.field(0)->type(); }

bool is_media(const DataType &t)
{
    if (t.id() != arrow::Type::STRUCT)
        return false;
    const auto bytes = static_cast<const arrow::StructType &>(t).GetFieldByName("bytes");
    return bytes && parquet_is_bytes(*bytes->type());
}

Use use_of(const std::string &name, const DataType &t)
{
    const std::string n = lower(name);
    if (is_media(t) || (parquet_is_list(t) && is_media(element(t)))) {
        for (const char *other : { "audio", "video", "speech", "sound", "movie" })
            if (n.find(other) != std::string::npos)
                throw Failure{ "column \"" + name + "\" holds media that asvr does not read" };
        return parquet_is_list(t) ? PICTURES : PICTURE;
    }
    const bool picture = is_one_of(n, { "image", "img", "picture", "photo", "jpg", "jpeg", "png", "webp", "image_bytes", "bytes" });
    if (picture && parquet_is_bytes(t))
        return PICTURE;
    if ((picture || is_one_of(n, { "images", "imgs", "pictures", "photos" })) && parquet_is_list(t) && parquet_is_bytes(element(t)))
        return PICTURES;
    if (is_one_of(n, { "video", "videos", "audio", "audios" }))
        throw Failure{ "column \"" + name + "\" holds media that asvr does not read" };
    const bool turns = is_one_of(n, { "conversations", "conversation", "messages" });
    if (parquet_is_list(t) && element(t).id() == arrow::Type::STRUCT)
        return turns ? TURNS : n == "texts" ? TEXTS : UNREAD;
    if (turns && parquet_is_text(t))                        /* the list as JSON */
        return TURNS;
    if (turns && t.id() != arrow::Type::NA)                 /* else a caption beside it would be learned in its place */
        throw Failure{ "column \"" + name + "\" is no list of turns, but " + t.ToString() };
    if (is_one_of(n, { "id", "key", "uid", "image_id" }) && (parquet_is_text(t) || arrow::is_integer(t.id())))
        return ID;
    if (n == "question" && parquet_is_text(t))
        return QUESTION;
    if (n == "answer" && (parquet_is_text(t) || (parquet_is_list(t) && parquet_is_text(element(t)))))
        return ANSWER;
    if (n == "choices" && parquet_is_list(t) && parquet_is_text(element(t)))
        return CHOICES;
    if (n == "task" && parquet_is_text(t))
        return TASK;
    if ((parquet_is_text(t) || (parquet_is_list(t) && parquet_is_text(element(t)))) &&
        is_one_of(n, { "caption", "captions", "text", "txt", "sentence", "sentences", "description", "alt_text" }))
        return CAPTION;
    return UNREAD;
}

} // namespace

struct ParquetFile {
    std::string name, unread;
    std::unique_ptr<parquet::arrow::FileReader> reader;
    std::vector<Column> columns;
    std::vector<int64_t> start;        /* the first row of each row group, and the number of all */
    std::map<std::string, Cursor> cursors;

    void open(const char *path);
    void add_column(const std::string &name, const DataType &type, const std::vector<int> &leaves);
    void read_rows(bool (*row)(void *, const ParquetRow *), void *ctx, bool *ended);
    bool tell(const arrow::RecordBatch &b, int64_t i, int64_t at, bool (*row)(void *, const ParquetRow *), void *ctx) const;
    std::string_view find(int64_t row, const char *column, int64_t index);
};

/* Leaves by their path: "images.list.element.bytes" begins with the column's name. */
void ParquetFile::add_column(const std::string &column, const DataType &type, const std::vector<int> &leaves)
{
    Column c{ column, use_of(column, type), leaves, -1, -1 };
    if (c.use == TURNS || c.use == TEXTS)                   /* one conversation a row: the first */
        for (const Column &other : columns)
            c.use = other.use == TURNS || other.use == TEXTS ? UNREAD : c.use;
    const parquet::SchemaDescriptor *schema = reader->parquet_reader()->metadata()->schema();
    if (c.use == UNREAD) {
        unread += (unread.empty() ? "" : ",") + column;
        return;
    }
    for (int leaf : leaves) {
        const std::string last = schema->Column(leaf)->name();
        if (last == "bytes" || leaves.size() == 1)
            c.bytes = leaf;
        else if (last == "path")
            c.beside = leaf;
    }
    columns.push_back(c);
}

void ParquetFile::open(const char *path)
{
    parquet::ReaderProperties properties = parquet::default_reader_properties();
    properties.enable_buffered_stream();
    properties.set_buffer_size(BUFFER);
    properties.set_page_checksum_verification(true);        /* where the pages have one */
    parquet::ArrowReaderProperties arrow_properties = parquet::default_arrow_reader_properties();
    arrow_properties.set_batch_size(BATCH);
    arrow_properties.set_pre_buffer(false);
    arrow_properties.set_use_threads(false);
    auto file = arrow::io::ReadableFile::Open(path);
    parquet_ok(file.status());
    parquet::arrow::FileReaderBuilder builder;
    parquet_ok(builder.Open(file.ValueUnsafe(), properties));
    builder.properties(arrow_properties);
    parquet_ok(builder.Build(&reader));
    const auto metadata = reader->parquet_reader()->metadata();
    start.push_back(0);
    for (int g = 0; g < metadata->num_row_groups(); g++)
        start.push_back(start.back() + metadata->RowGroup(g)->num_rows());
    std::shared_ptr<arrow::Schema> schema;
    parquet_ok(reader->GetSchema(&schema));
    std::map<std::string, std::vector<int>> leaves;
    for (int k = 0; k < metadata->schema()->num_columns(); k++)
        leaves[metadata->schema()->GetColumnRoot(k)->name()].push_back(k);
    for (const auto &field : schema->fields())
        add_column(field->name(), *field->type(), leaves[field->name()]);
    if (std::none_of(columns.begin(), columns.end(), [](const Column &c) { return c.use == PICTURE || c.use == PICTURES; }))
        for (const auto &field : schema->fields())
            if (is_one_of(lower(field->name()), { "image", "images", "img", "picture", "photo", "image_path", "image_paths", "file_name", "filename" }))
                throw Failure{ "column \"" + field->name() + "\" names pictures, but does not hold them: write them into it, or JSON Lines" };
}

/* One row of what was read -> ParquetRow, one for each caption of a list. */
bool ParquetFile::tell(const arrow::RecordBatch &b, int64_t i, int64_t at, bool (*row)(void *, const ParquetRow *), void *ctx) const
{
    std::string images, turns, id, question, asked;
    std::vector<std::string> captions;
    int pictures = 0, caption_rank = INT32_MAX;
    bool answered = false;
    const char *key = "conversations";
    static const char *const order[] = { "caption", "captions", "text", "txt", "sentence", "sentences", "description", "alt_text" };
    for (const Column &c : columns) {
        const auto a = b.GetColumnByName(c.name);
        std::shared_ptr<Array> values;
        std::string_view s;
        int64_t from = 0, n = 1;
        if (!a || a->IsNull(i))
            continue;
        if (parquet_is_list(*a->type()))
            parquet_list(*a, i, &values, &from, &n);
        if (c.use == PICTURE || c.use == PICTURES) {
            for (int64_t k = 0; k < n; k++) {
                images += pictures++ ? ",{\"file\":" : "{\"file\":";
                parquet_put_string(images, name);
                images += ",\"row\":" + std::to_string(at) + ",\"column\":";
                parquet_put_string(images, c.name);
                images += ",\"index\":" + std::to_string(k) + "}";
            }
        } else if (c.use == TURNS || c.use == TEXTS) {
            turns.clear();
            key = lower(c.name) == "messages" ? "messages" : "conversations";
            c.use == TURNS ? parquet_put_json(turns, *a, i, 0) : parquet_put_texts(turns, *values, from, n);
        } else if (c.use == QUESTION) {
            parquet_put_json(question, *a, i, 0);
        } else if (c.use == ANSWER || c.use == CHOICES || c.use == TASK) {
            asked += c.use == ANSWER ? ",\"answer\":" : c.use == CHOICES ? ",\"choices\":" : ",\"task\":";
            parquet_put_json(asked, *a, i, 0);
            answered |= c.use == ANSWER;
        } else if (c.use == ID && id.empty()) {
            parquet_put_json(id, *a, i, 0);
            if (id[0] == '"')
                id = parquet_text(*a, i, &s) ? std::string(s) : "";
        } else if (c.use == CAPTION) {
            const int rank = (int)(std::find(std::begin(order), std::end(order), lower(c.name)) - std::begin(order));
            if (rank >= caption_rank)
                continue;
            caption_rank = rank;
            captions.clear();
            const Array &texts = values ? *values : *a;
            for (int64_t k = 0; k < n; k++)
                if (parquet_text(texts, values ? from + k : i, &s))
                    captions.emplace_back(s);
        }
    }
    if (turns.empty() && !question.empty() && answered)
        turns = question, key = "question";
    ParquetRow r = { at, images.c_str(), pictures, turns.empty() ? nullptr : turns.c_str(), key, asked.c_str(), nullptr, 0, id.c_str() };
    if (r.turns && !captions.empty())
        r.caption = captions[0].data(), r.caption_bytes = (int64_t)captions[0].size();
    if (r.turns || captions.empty())
        return row(ctx, &r);
    for (const std::string &text : captions) {
        r.caption = text.data();
        r.caption_bytes = (int64_t)text.size();
        if (!row(ctx, &r))
            return false;
    }
    return true;
}

void ParquetFile::read_rows(bool (*row)(void *, const ParquetRow *), void *ctx, bool *ended)
{
    std::vector<int> leaves;
    for (const Column &c : columns)
        if (c.use == PICTURE || c.use == PICTURES)
            leaves.push_back(c.beside >= 0 ? c.beside : c.bytes);
        else
            leaves.insert(leaves.end(), c.leaves.begin(), c.leaves.end());
    if (leaves.empty())
        throw Failure{ "none of the columns is one that asvr reads: " + unread };
    for (int g = 0; g + 1 < (int)start.size(); g++) {
        Batches batches = open_batches(*reader, { g }, leaves, 0);
        int64_t at = start[g];
        for (std::shared_ptr<arrow::RecordBatch> b;;) {
            parquet_ok(batches->ReadNext(&b));
            if (!b)
                break;
            for (int64_t i = 0; i < b->num_rows(); i++)
                if (!tell(*b, i, at + i, row, ctx)) {
                    *ended = true;
                    return;
                }
            at += b->num_rows();
        }
        if (at != start[g + 1])
            throw Failure{ "row group " + std::to_string(g) + " has other rows than it says" };
    }
}

std::string_view ParquetFile::find(int64_t row, const char *column, int64_t index)
{
    const auto c = std::find_if(columns.begin(), columns.end(),
                                [&](const Column &x) { return x.name == column && (x.use == PICTURE || x.use == PICTURES) && x.bytes >= 0; });
    if (c == columns.end())
        throw Failure{ std::string("there is no column of pictures \"") + column + "\"" };
    if (row < 0 || row >= start.back())
        throw Failure{ "there is no row " + std::to_string(row) + " of " + std::to_string(start.back()) };
    Cursor &x = cursors[c->name];
    const int g = (int)(std::upper_bound(start.begin(), start.end(), row) - start.begin()) - 1;
    if (!x.batches || x.group != g || row < x.first) {      /* pack goes forwards, but for records that are held out */
        x.batches = open_batches(*reader, { g }, { c->bytes }, 0);
        x.group = g;
        x.first = x.end = start[g];
    }
    while (row >= x.end) {
        const auto read = x.batches->ReadNext(&x.batch);
        if (!read.ok() || !x.batch)
            x.batches.reset();                              /* where it stands now, nobody knows */
        parquet_ok(read);
        if (!x.batch)
            throw Failure{ "row group " + std::to_string(g) + " has fewer rows than it says" };
        x.first = x.end;
        x.end += x.batch->num_rows();
    }
    std::shared_ptr<Array> a = x.batch->column(0), values;
    int64_t i = row - x.first, from, n;
    if (parquet_list(*a, i, &values, &from, &n)) {
        if (index < 0 || index >= n)
            throw Failure{ "the row has " + std::to_string(n) + " pictures" };
        a = values, i = from + index;
    } else if (index != 0 || a->IsNull(i)) {
        throw Failure{ "the row has no such picture" };
    }
    if (a->type_id() == arrow::Type::STRUCT && !a->IsNull(i))
        a = static_cast<const arrow::StructArray &>(*a).GetFieldByName("bytes");
    std::string_view s;
    if (!a || !parquet_text(*a, i, &s))
        throw Failure{ "the picture has no bytes, perhaps a path alone: write the data set with its pictures in it" };
    return s;
}

namespace {

template <class F> bool guarded(char *why, size_t cap, F f)
{
    try {
        f();
        return true;
    } catch (const Failure &x) {
        snprintf(why, cap, "%s", x.why.c_str());
    } catch (const std::exception &x) {
        snprintf(why, cap, "%s", x.what());
    }
    if (!why[0])
        snprintf(why, cap, "Arrow says no more");
    return false;
}

ParquetFile *open_file(const char *path, const char *name, char *why, size_t cap)
{
    ParquetFile *f = new ParquetFile;
    f->name = name;
    if (guarded(why, cap, [&] { f->open(path); }))
        return f;
    delete f;
    return nullptr;
}

void close_file(ParquetFile *f) { delete f; }

const char *unread(const ParquetFile *f) { return f->unread.c_str(); }

bool rows(ParquetFile *f, bool (*row)(void *ctx, const ParquetRow *r), void *ctx, char *why, size_t cap)
{
    bool ended = false;
    return guarded(why, cap, [&] { f->read_rows(row, ctx, &ended); }) && !ended;
}

bool picture(ParquetFile *f, int64_t row, const char *column, int64_t index, const uint8_t **bytes, size_t *n, char *why, size_t cap)
{
    return guarded(why, cap, [&] {
        const std::string_view s = f->find(row, column, index);
        *bytes = (const uint8_t *)s.data();
        *n = s.size();
    });
}

} // namespace

extern "C" __attribute__((visibility("default"))) const ParquetOps asvr_parquet_ops;
const ParquetOps asvr_parquet_ops = { PARQUET_VERSION, sizeof(ParquetOps), open_file, close_file, unread, rows, picture };
