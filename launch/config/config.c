#include "launch/config/config.h"
#include "launch/config/include.h"
#include "launch/config/value.h"

#include <jansson.h>
#include <libconfig.h>
#include <string.h>
#include <xxhash.h>

Err *err_next(ErrList *errs)
{
    if (errs->n == CONFIG_ERRORS)
        errs->lost++;
    Err *e = &errs->err[errs->n < CONFIG_ERRORS ? errs->n++ : CONFIG_ERRORS];
    memset(e, 0, sizeof *e);
    return e;
}

/* ---- reading ---- */

typedef struct {
    Config   *c;
    Included  text;
    ErrList  *errs;
    const char *want;           /* the value of --set train.stage, or NULL */
    int       stage;            /* which of the stages that are meant; -1: the last */
} Reading;

static const char STAGES[] = "stages";

/* Every key at its default. */
static void config_default(Config *c)
{
    memset(c, 0, sizeof *c);
    for (int i = 0; i < n_options; i++) {
        Err e = { 0 };
        bool ok = option_parse(&options[i], c, options[i].def, "", &e);
        CHECK(ok, "the default of %s does not fit: %s", options[i].key, e.got);
    }
}

static bool unknown_key(const char *key, bool group, const char *where, Err *e)
{
    char near[OPTION_KEY], hint[128];
    option_nearest(near, key, group);
    snprintf(hint, sizeof hint, "did you mean %s?  `asvr help options` lists every key", near);
    return err_set(e, EXIT_CONFIG, where, hint, "there is no %s \"%s\"", group ? "group" : "key", key);
}

Value value_of(config_setting_t *s)
{
    Value v = { .kind = V_GROUP };
    switch (config_setting_type(s)) {
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64:
        v.kind = V_INTEGER;
        v.integer = config_setting_get_int64(s);
        v.number[0] = (double)v.integer;
        break;
    case CONFIG_TYPE_FLOAT:
        v.kind = V_NUMBER;
        v.number[0] = config_setting_get_float(s);
        break;
    case CONFIG_TYPE_BOOL:
        v.kind = V_BOOL;
        v.yes = config_setting_get_bool(s);
        break;
    case CONFIG_TYPE_STRING:
        v.kind = V_TEXT;
        v.text = config_setting_get_string(s);
        break;
    case CONFIG_TYPE_ARRAY:
    case CONFIG_TYPE_LIST:
        v.kind = V_LIST;
        for (; v.n < config_setting_length(s); v.n++) {
            Value x = config_setting_is_number(config_setting_get_elem(s, (unsigned)v.n))
                          ? value_of(config_setting_get_elem(s, (unsigned)v.n)) : (Value){ .kind = V_TEXT };
            if (x.kind == V_TEXT || v.n == OPTION_FLOATS) {
                v.n = -1;
                break;
            }
            v.number[v.n] = x.number[0];
        }
        break;
    }
    return v;
}

/* Of a long path the end, which has the line. */
static void remember(ErrList *errs, const Option *o, const char *where)
{
    const size_t n = strlen(where), skip = n >= CONFIG_PLACE && strncmp(where, "--set", 5) ? n - CONFIG_PLACE + 1 : 0;
    snprintf(errs->place[o - options], CONFIG_PLACE, "%.*s", CONFIG_PLACE - 1, where + skip);
}

/* Depth is bounded by the table: only known groups are entered. */
static void group_read(Reading *r, config_setting_t *group, const char *prefix)
{
    for (int i = 0; i < config_setting_length(group); i++) {
        config_setting_t *s = config_setting_get_elem(group, (unsigned)i);
        char key[2 * OPTION_KEY + 1], where[512];
        snprintf(key, sizeof key, "%s%.*s", prefix, OPTION_KEY, config_setting_name(s));
        include_where(&r->text, (int)config_setting_source_line(s), where, sizeof where);
        const Option *o = option_find(key);
        bool is_group = config_setting_is_group(s);
        Err e = { 0 };
        if (!prefix[0] && !strcmp(key, STAGES)) {
            continue;                               /* stage_read's */
        } else if (o) {
            Value v = value_of(s);
            option_set(o, r->c, &v, where, &e);
            remember(r->errs, o, where);
        } else if (option_is_group(key) && is_group) {
            strcat(key, ".");
            group_read(r, s, key);
        } else if (option_is_group(key)) {
            err_expected(&e, "%s: { ... };", config_setting_name(s));
            err_set(&e, EXIT_CONFIG, where, "", "%s is a group of keys", key);
        } else {
            unknown_key(key, is_group, where, &e);
        }
        if (e.code)
            *err_next(r->errs) = e;
    }
}

/* The word of train.stage in a group of the list, or that of the file. */
static void stage_word(const Reading *r, config_setting_t *group, char word[OPTION_TEXT])
{
    config_setting_t *train = config_setting_get_member(group, "train");
    config_setting_t *s = train && config_setting_is_group(train) ? config_setting_get_member(train, "stage") : NULL;
    const char *own = s ? config_setting_get_string(s) : NULL;
    option_print(option_find("train.stage"), r->c, word);
    if (own)
        snprintf(word, OPTION_TEXT, "\"%.*s\"", CONFIG_STRING, own);
}

/* Those that are meant are counted; one of them is read. */
static void stage_read(Reading *r, config_setting_t *root)
{
    config_setting_t *list = config_setting_get_member(root, STAGES), *group = NULL;
    char where[512], word[OPTION_TEXT], want[OPTION_TEXT], there[256] = "";
    Err e = { 0 };
    if (!list)
        return;
    include_where(&r->text, (int)config_setting_source_line(list), where, sizeof where);
    snprintf(want, sizeof want, "\"%.*s\"", CONFIG_STRING, r->want ? r->want : "");
    for (int i = 0; i < config_setting_length(list) && config_setting_is_list(list); i++) {
        config_setting_t *s = config_setting_get_elem(list, (unsigned)i);
        if (!config_setting_is_group(s)) {
            group = NULL;
            break;
        }
        stage_word(r, s, word);
        const size_t n = strlen(there);
        snprintf(there + n, sizeof there - n, "%s%.60s", n ? ", " : "", word);
        if (r->want && strcmp(word, want))
            continue;
        if (r->stage < 0 || r->c->stages.n == r->stage) {
            group = s;
            r->c->stages.at = r->c->stages.n;
        }
        r->c->stages.n++;
    }
    if (group) {
        group_read(r, group, "");
        return;
    }
    if (r->want && there[0]) {
        err_expected(&e, "%s", there);
        err_got(&e, "%.200s", want);
        err_set(&e, EXIT_CONFIG, where, "--set train.stage names one of the stages of this file", "the file lists no such stage");
    } else {
        err_expected(&e, "%s = ( { train: { stage = \"pretrain\"; }; }, { ... } );", STAGES);
        err_set(&e, EXIT_CONFIG, where, "", "%s is a list of groups of keys, one at least", STAGES);
    }
    *err_next(r->errs) = e;
}

static void file_load(Reading *r, const char *path)
{
    config_t cfg;
    Err      e = { 0 };
    char     where[512];
    config_init(&cfg);
    if (!include_read(&r->text, path, &e)) {
        *err_next(r->errs) = e;
    } else if (!config_read_string(&cfg, r->text.text)) {
        include_where(&r->text, config_error_line(&cfg), where, sizeof where);
        err_set(err_next(r->errs), EXIT_CONFIG, where, "a line is  key = value;  and a group is  name: { ... };",
                "the configuration cannot be parsed: %s", config_error_text(&cfg));
    } else {
        group_read(r, config_root_setting(&cfg), "");
        stage_read(r, config_root_setting(&cfg));
    }
    config_destroy(&cfg);
    include_free(&r->text);
}

static void set_load(Config *c, const char *set, ErrList *errs)
{
    char        key[2 * OPTION_KEY], where[512];
    const char *equals = strchr(set, '=');
    Err         e = { 0 };
    snprintf(where, sizeof where, "--set %.400s", set);
    snprintf(key, sizeof key, "%.*s", (int)(equals ? min64(equals - set, OPTION_KEY) : 0), set);
    const Option *o = option_find(key);
    if (!equals)
        err_set(&e, EXIT_CONFIG, where, "as in  --set train.lr=1e-3", "--set needs KEY=VALUE");
    else if (!o)
        unknown_key(key, false, where, &e);
    else
        option_parse(o, c, equals + 1, where, &e);
    if (o)
        remember(errs, o, where);
    if (e.code)
        *err_next(errs) = e;
}

bool config_load(Config *c, const char *path, char *const *sets, int n, ErrList *errs)
{
    return config_load_stage(c, path, -1, sets, n, errs);
}

bool config_load_stage(Config *c, const char *path, int stage, char *const *sets, int n, ErrList *errs)
{
    static const char said[] = "train.stage=";
    int     before = errs->n;
    Reading r = { .c = c, .errs = errs, .stage = stage };
    for (int i = 0; i < n; i++)
        r.want = !strncmp(sets[i], said, sizeof said - 1) ? sets[i] + sizeof said - 1 : r.want;
    CHECK(n_options <= CONFIG_KEYS, "%d options, room for %d", n_options, CONFIG_KEYS);
    config_default(c);
    memset(errs->place, 0, sizeof errs->place);
    snprintf(errs->file, sizeof errs->file, "%s", path ? path : "");
    if (path)
        file_load(&r, path);
    for (int i = 0; i < n; i++)
        set_load(c, sets[i], errs);
    return errs->n == before;
}

/* ---- writing ---- */

/* Length of what two keys share up to and with a dot. */
static size_t common_groups(const char *a, const char *b)
{
    size_t n = 0;
    for (size_t i = 0; a[i] && a[i] == b[i]; i++)
        if (a[i] == '.')
            n = i + 1;
    return n;
}

static int groups_in(const char *key, size_t n)
{
    int groups = 0;
    for (size_t i = 0; i < n; i++)
        groups += key[i] == '.';
    return groups;
}

void config_print(const Config *c, FILE *f)
{
    char        text[OPTION_TEXT];
    const char *was = "";
    for (int i = 0; i <= n_options; i++) {
        const char *key = i < n_options ? options[i].key : "";
        size_t      n = common_groups(was, key);
        int         depth = groups_in(key, n);
        for (int open = groups_in(was, strlen(was)); open > depth; open--)
            fprintf(f, "%*s};\n", 4 * (open - 1), "");
        for (const char *name = key + n, *dot; (dot = strchr(name, '.')); name = dot + 1)
            fprintf(f, "%*s%.*s: {\n", 4 * depth++, "", (int)(dot - name), name);
        if (i < n_options) {
            option_print(&options[i], c, text);
            fprintf(f, "%*s%s = %s;\n", 4 * depth, "", strrchr(key, '.') + 1, text);
        }
        was = key;
    }
}

/* ---- comparing ---- */

static bool begins(const char *key, const char *const *with)
{
    for (; *with; with++)
        if (!strncmp(key, *with, strlen(*with)))
            return true;
    return false;
}

/* What lies where is no part of what a run is: contents are, and the checkpoint has their hashes. */
static bool determines(const Option *o, int version)
{
    static const char *const first[] = { "run.seed", "model.", "text.", "data.shards", "data.on_bad", "train.", NULL };
    static const char *const keys[] = { "run.seed", "model.", "data.on_bad", "data.last", "train.", NULL };
    if (!strcmp(o->key, "train.recompute"))                /* the same bits */
        return false;
    return version == 1 ? begins(o->key, first) : begins(o->key, keys) && strcmp(o->key, "train.init");
}

/* Keys at their default do not count, so a key that comes later leaves the hashes of older runs alone. */
uint64_t config_hash(const Config *c, int version)
{
    char     text[OPTION_TEXT], plain[OPTION_TEXT];
    uint64_t hash = 0;
    Config   d;
    config_default(&d);
    for (int i = 0; i < n_options; i++) {
        option_print(&options[i], c, text);
        option_print(&options[i], &d, plain);
        if (determines(&options[i], version) && strcmp(text, plain))
            hash = XXH64(text, strlen(text), XXH64(options[i].key, strlen(options[i].key), hash));
    }
    return hash;
}

char *config_packs(const Config *c)
{
    static const char *const keys[] = { "run.seed", "model.vision.image", "model.vision.patch", "model.vision.scales",
                                        "model.decoder.max_len", "data.source", "data.max_cutouts", "data.samples", "data.val_samples",
                                        "data.fit", "data.template", "data.system", "data.store", "data.shard_samples", "data.level",
                                        "data.on_bad", "train.stage", NULL };
    static const char *const later[] = { "model.vision.kind", NULL };       /* older sets know nothing of it: at its default it is left out */
    char    text[OPTION_TEXT], plain[OPTION_TEXT];
    json_t *o = json_object();
    Config  d;
    config_default(&d);
    for (int i = 0; i < n_options; i++)
        if (begins(options[i].key, keys) || begins(options[i].key, later)) {
            option_print(&options[i], c, text);
            option_print(&options[i], &d, plain);
            if (begins(options[i].key, later) && !strcmp(text, plain))
                continue;
            CHECK(json_object_set_new(o, options[i].key, json_string(text)) == 0, "%s is no UTF-8: %s", options[i].key, text);
        }
    char *json = json_dumps(o, JSON_COMPACT);
    CHECK(json, "no memory for the options of a data set");
    json_decref(o);
    return json;
}

int config_diff(const Config *was, const Config *is, int version, FILE *f)
{
    char a[OPTION_TEXT], b[OPTION_TEXT];
    int  n = 0;
    for (int i = 0; i < n_options; i++) {
        option_print(&options[i], was, a);
        option_print(&options[i], is, b);
        if (determines(&options[i], version) && strcmp(a, b)) {
            fprintf(f, "  %s: %s -> %s\n", options[i].key, a, b);
            n++;
        }
    }
    return n;
}
