/* indexjson.c -- the JSON of an index: what was packed, shard by shard (index.h) */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "io/set/catalogueinside.h"
#include "io/set/indexinside.h"

/* What an index may claim before anything is allocated for it: products of these stay far below 2^63. */
static const int64_t SAMPLES_MOST = INT64_C(1) << 40, SIDE_MOST = 4096, DEPTH_MOST = 64, SCALES_MOST = 16, SHARDS_MOST = 1 << 24;
static const int64_t CHUNK_MOST = INT64_C(64) << 20, FILE_MOST = INT64_C(1) << 48;
static const int64_t SAMPLE_IMAGES = 1024, SAMPLE_TOKENS = INT64_C(1) << 22, SAMPLE_ANSWER = INT64_C(1) << 20;

/* ---- writing ---- */

static void put(json_t *o, const char *key, json_t *value)
{
    CHECK(json_object_set_new(o, key, value) == 0, "no memory for the JSON of an index, or a text that is no UTF-8 (%s)", key);
}

static json_t *hex(uint64_t value)
{
    char text[17];
    snprintf(text, sizeof text, "%016" PRIx64, value);
    return json_string(text);
}

static json_t *numbers(const int64_t *x, int n)
{
    json_t *a = json_array();
    for (int i = 0; i < n; i++)
        json_array_append_new(a, json_integer(x[i]));
    return a;
}

static json_t *shard_json(const IndexShard *s)
{
    json_t *o = json_object();
    put(o, "name", json_string(s->name));
    put(o, "split", json_string(split_names[s->split]));
    put(o, "samples", json_integer(s->samples));
    put(o, "images", json_integer(s->images));
    put(o, "tokens", json_integer(s->tokens));
    put(o, "answers", json_integer(s->answers));
    put(o, "bytes", json_integer(s->bytes));
    put(o, "fingerprint", hex(s->fingerprint));
    put(o, "fingerprint_at", json_integer(s->fingerprint_at));
    put(o, "stored", hex(s->stored));
    put(o, "rows", numbers(s->per, SHARD_ARRAYS));
    put(o, "chunks", numbers(s->chunks, SHARD_ARRAYS));
    put(o, "rest", json_integer(s->rest));
    put(o, "tables", json_integer(s->tables));
    put(o, "most", numbers((int64_t[]){ s->max_tokens, s->max_images, s->max_answer, s->max_stored }, 4));
    return o;
}

char *index_json(const Index *x)
{
    const ShardMeta *m = &x->meta;
    json_t *o = json_object(), *shards = json_array(), *kinds = json_object();
    put(o, "image", json_integer(m->image));
    put(o, "patch", json_integer(m->patch));
    put(o, "scales", json_integer(m->scales));
    put(o, "depth", json_integer(m->depth));
    put(o, "store", json_string(store_names[m->store]));
    put(o, "text_model", hex(m->text_model));
    put(o, "codes_model", hex(m->codes_model));
    put(o, "appearance_model", hex(m->appearance_model));
    put(o, "template", json_string(m->template_));
    put(o, "source", json_string(m->source));
    put(o, "eval", json_boolean(m->eval));
    put(o, "tasks", json_string(m->tasks));
    put(o, "baseline", json_string(m->baseline));
    put(o, "options", x->options ? json_loads(x->options, 0, NULL) : json_object());
    put(o, "held", json_integer(x->held));
    put(o, "held_out", json_integer(x->held_out));
    for (int s = 0; s < SPLITS; s++)
        put(kinds, split_names[s], numbers(x->kinds[s], INDEX_KINDS));
    put(o, "kinds", kinds);
    for (int i = 0; i < x->n; i++)
        json_array_append_new(shards, shard_json(&x->shard[i]));
    put(o, "shards", shards);
    char *text = json_dumps(o, JSON_COMPACT);
    CHECK(text, "no memory for the JSON of an index");
    json_decref(o);
    return text;
}

/* ---- reading ---- */

static bool number(const Index *x, const json_t *o, const char *key, int64_t least, int64_t most, int64_t *n, Err *e)
{
    const json_t *v = json_object_get(o, key);
    *n = json_integer_value(v);
    return (json_is_integer(v) && *n >= least && *n <= most) ||
           index_bad(x, e, "\"%s\" is no number from %" PRId64 " to %" PRId64, key, least, most);
}

static bool text(const Index *x, const json_t *o, const char *key, char *out, size_t cap, Err *e)
{
    const char *s = json_string_value(json_object_get(o, key));
    return (s && snprintf(out, cap, "%s", s) < (int)cap) || index_bad(x, e, "\"%s\" is no text of at most %zu bytes", key, cap - 1);
}

static bool read_hex(const Index *x, const json_t *o, const char *key, uint64_t *value, Err *e)
{
    char s[32];
    if (!text(x, o, key, s, sizeof s, e))
        return false;
    *value = strtoull(s, NULL, 16);
    return (strlen(s) == 16 && strspn(s, "0123456789abcdef") == 16) || index_bad(x, e, "\"%s\" is \"%s\", not 16 hex digits", key, s);
}

static bool list(const Index *x, const json_t *o, const char *key, int64_t most, int64_t *out, int n, Err *e)
{
    const json_t *a = json_object_get(o, key);
    bool ok = json_is_array(a) && (int)json_array_size(a) == n;
    for (int i = 0; i < n && ok; i++) {
        out[i] = json_integer_value(json_array_get(a, (size_t)i));
        ok = out[i] >= 0 && out[i] <= most;
    }
    return ok || index_bad(x, e, "\"%s\" is no list of %d numbers up to %" PRId64, key, n, most);
}

static bool read_meta(Index *x, const json_t *o, Err *e)
{
    ShardMeta *m = &x->meta;
    int64_t image, patch, scales, depth;
    char store[16];
    if (!number(x, o, "image", 1, SIDE_MOST, &image, e) || !number(x, o, "patch", 1, image, &patch, e) ||
        !number(x, o, "scales", 1, SCALES_MOST, &scales, e) || !number(x, o, "depth", 0, DEPTH_MOST, &depth, e) ||
        !text(x, o, "store", store, sizeof store, e))
        return false;
    m->image = (int)image, m->patch = (int)patch, m->scales = (int)scales, m->depth = (int)depth;
    m->store = store_find(store);
    m->eval = json_is_true(json_object_get(o, "eval"));
    if (m->store < 0)
        return index_bad(x, e, "\"store\" is \"%s\", which this program does not know", store);
    if (image % scales || image / scales < patch)
        return index_bad(x, e, "images of %d pixels are not %d scales of whole patches of %d", m->image, m->scales, m->patch);
    return read_hex(x, o, "text_model", &m->text_model, e) && read_hex(x, o, "codes_model", &m->codes_model, e) &&
           read_hex(x, o, "appearance_model", &m->appearance_model, e) &&
           text(x, o, "template", m->template_, sizeof m->template_, e) && text(x, o, "source", m->source, sizeof m->source, e) &&
           text(x, o, "tasks", m->tasks, sizeof m->tasks, e) && text(x, o, "baseline", m->baseline, sizeof m->baseline, e);
}

/* Rows a chunk and chunks of every array are what its rows need. */
static bool fits(const Index *x, int i, Err *e)
{
    ShardArray a[SHARD_ARRAYS];
    const IndexShard *s = &x->shard[i];
    index_layout(x, i, a);
    for (int k = 0; k < SHARD_ARRAYS; k++) {
        const int64_t rows = a[k].name ? a[k].size[0] : 0;
        if (rows ? s->per[k] < 1 || s->per[k] > CHUNK_MOST / a[k].row_bytes || s->chunks[k] != ceil_div(rows, s->per[k])
                 : s->chunks[k] != 0)
            return index_bad(x, e, "shard \"%s\": %" PRId64 " chunks of %" PRId64 " rows are not the %" PRId64 " rows of \"%s\"", s->name,
                             s->chunks[k], s->per[k], rows, shard_array_names[k]);
    }
    return true;
}

static bool read_shard(Index *x, int i, const json_t *o, int64_t tables, Err *e)
{
    IndexShard *s = &x->shard[i];
    char name[INDEX_NAME], split[8];
    int64_t most[4];
    if (!text(x, o, "name", name, sizeof name, e) || !text(x, o, "split", split, sizeof split, e))
        return false;
    if (!name[0] || strchr(name, '/') || name[0] == '.')
        return index_bad(x, e, "\"%s\" is no name of a shard", name);
    CHECK((s->name = strdup(name)), "no memory for a name");
    s->split = strcmp(split, split_names[SPLIT_VAL]) == 0;
    if (!s->split && strcmp(split, split_names[SPLIT_TRAIN]))
        return index_bad(x, e, "\"split\" of a shard is \"%s\"", split);
    if (!number(x, o, "samples", 0, SAMPLES_MOST, &s->samples, e) || !number(x, o, "images", 0, SAMPLES_MOST, &s->images, e) ||
        !number(x, o, "tokens", 0, SAMPLES_MOST, &s->tokens, e) || !number(x, o, "answers", 0, SAMPLES_MOST, &s->answers, e) ||
        !number(x, o, "bytes", 1, FILE_MOST, &s->bytes, e) || !number(x, o, "fingerprint_at", 0, s->bytes - 16, &s->fingerprint_at, e) ||
        !read_hex(x, o, "fingerprint", &s->fingerprint, e) || !read_hex(x, o, "stored", &s->stored, e) ||
        !list(x, o, "rows", SAMPLES_MOST, s->per, SHARD_ARRAYS, e) || !list(x, o, "chunks", SAMPLES_MOST, s->chunks, SHARD_ARRAYS, e) ||
        !number(x, o, "rest", 0, SAMPLES_MOST, &s->rest, e) || !number(x, o, "tables", 0, tables, &s->tables, e) ||
        !list(x, o, "most", FILE_MOST, most, 4, e) || !fits(x, i, e))
        return false;
    s->max_tokens = most[0], s->max_images = most[1], s->max_answer = most[2], s->max_stored = most[3];
    if (most[0] > SAMPLE_TOKENS || most[1] > SAMPLE_IMAGES || most[2] > SAMPLE_ANSWER || most[3] > 2 * CHUNK_MOST)
        return index_bad(x, e, "shard \"%s\" has samples or chunks larger than there may be", s->name);
    if (index_table_bytes(x, s) > tables - s->tables)
        return index_bad(x, e, "the tables of shard \"%s\" do not fit into the index", s->name);
    x->meta.samples += s->samples;
    x->meta.images += s->images;
    x->meta.tokens += s->tokens;
    return true;
}

static bool read_all(Index *x, const json_t *o, int64_t tables, Err *e)
{
    const json_t *shards = json_object_get(o, "shards"), *kinds = json_object_get(o, "kinds");
    if (!json_is_object(o) || !json_is_array(shards) || (int64_t)json_array_size(shards) > SHARDS_MOST)
        return index_bad(x, e, "its JSON is no object with a list of \"shards\"");
    if (!read_meta(x, o, e) || !number(x, o, "held", 0, SAMPLES_MOST, &x->held, e) ||
        !number(x, o, "held_out", 0, tables, &x->held_out, e))
        return false;
    if (x->held > (tables - x->held_out) / (int64_t)sizeof(int64_t))
        return index_bad(x, e, "the held-out records do not fit into the index");
    for (int s = 0; s < SPLITS; s++)
        if (!list(x, kinds, split_names[s], SAMPLES_MOST, x->kinds[s], INDEX_KINDS, e))
            return false;
    x->options = json_dumps(json_object_get(o, "options"), JSON_COMPACT);
    x->shard = calloc(json_array_size(shards) + 1, sizeof *x->shard);
    CHECK(x->shard, "no memory for a list of %zu shards", json_array_size(shards));
    for (size_t i = 0; i < json_array_size(shards); i++) {
        x->n++;
        if (!read_shard(x, (int)i, json_array_get(shards, i), tables, e))
            return false;
        if (i && x->shard[i - 1].split > x->shard[i].split)
            return index_bad(x, e, "a training shard stands behind one for evaluation");
    }
    return true;
}

bool index_parse(Index *x, const char *json, size_t n, int64_t tables, Err *e)
{
    json_error_t why;
    json_t *o = json_loadb(json, n, JSON_REJECT_DUPLICATES, &why);
    if (!o)
        return index_bad(x, e, "its JSON cannot be read: %s (byte %d)", why.text, why.position);
    const bool ok = read_all(x, o, tables, e);
    json_decref(o);
    return ok;
}

/* ---- about ---- */

char *shards_about(const Shards *s)
{
    json_t *o = json_object(), *sets = json_array();
    put(o, "data", hex(shards_identity(s)));
    for (int k = 0; k < s->sets; k++) {
        const Index *x = s->set[k];
        json_t *one = json_object();
        uint64_t content = 0;
        for (int i = 0; i < x->n; i++)
            content = content * 31 + x->shard[i].fingerprint;
        put(one, "samples", json_integer(x->meta.samples));
        put(one, "images", json_integer(x->meta.images));
        put(one, "tokens", json_integer(x->meta.tokens));
        put(one, "text_model", hex(x->meta.text_model));
        put(one, "codes_model", hex(x->meta.codes_model));
        put(one, "options", x->options ? json_loads(x->options, 0, NULL) : json_object());
        put(one, "content", hex(content));
        if (s->sets > 1)
            put(one, "share", json_integer(s->share[k]));
        put(one, "set", hex(x->hash));
        json_array_append_new(sets, one);
    }
    put(o, "sets", sets);
    char *text = json_dumps(o, JSON_INDENT(1));
    CHECK(text, "no memory for JSON");
    json_decref(o);
    return text;
}
