#include "launch/plan/rates.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/files.h"
#include "io/base/json.h"

enum { FILE_MOST = 1 << 16, VERSION = 1 };
#define FORMAT "asvr-bench"

/* Every number of the file, in its order.  lo: the least; what may be 0 was not measured. */
#define WHOLE(k, lo)  { #k, offsetof(Rates, k), lo, 1 << 24, true }
#define NUMBER(k, lo) { #k, offsetof(Rates, k), lo, 1e18, false }
static const struct { const char *key; size_t at; double lo, hi; bool whole; } FIELD[] = {
    WHOLE(ranks, 1), WHOLE(dp, 1), WHOLE(tp, 1), WHOLE(threads, 1),
    NUMBER(sgemm, 1), NUMBER(forward, 1e-6), NUMBER(backward, 1e-6), NUMBER(memory, 1),
    NUMBER(dp_bytes, 0), NUMBER(dp_hidden, 0), NUMBER(tp_wait, 0), NUMBER(rest, 0),
    NUMBER(base_mib, 0), NUMBER(peak_mib, 0), NUMBER(step, 0), NUMBER(samples, 0),
};
enum { FIELDS = sizeof FIELD / sizeof *FIELD };

bool rates_write(const Rates *r, const char *run, Err *e)
{
    char path[PATH_ROOM];
    json_t *root = json_pack("{s:s, s:i, s:o, s:b}", "format", FORMAT, "version", VERSION, "machine", json_text(r->machine), "debug",
                             r->debug);
    json_t *sums = json_array();
    for (int i = 0; i < FIELDS; i++) {
        const void *at = (const char *)r + FIELD[i].at;
        json_object_set_new(root, FIELD[i].key, FIELD[i].whole ? json_integer(*(const int *)at) : json_real(*(const double *)at));
    }
    for (int i = 0; i < TP_SIZES && r->tp > 1; i++)
        json_array_append_new(sums, json_pack("{s:f, s:f}", "bytes", r->tp_size[i], "seconds", r->tp_seconds[i]));
    json_object_set_new(root, "tp_sums", sums);
    if (path_set(path, e, "%s/bench.json", run) && dir_make(run, e))
        return json_write(path, root, 9, e);
    json_decref(root);
    return false;
}

static bool number(const json_t *o, const char *key, double lo, double hi, double *out)
{
    const json_t *v = json_object_get(o, key);
    *out = json_number_value(v);
    return json_is_number(v) && *out >= lo && *out <= hi;
}

/* The name of what is not as it must be, or NULL. */
static const char *take(Rates *r, const json_t *root)
{
    const json_t *sums = json_object_get(root, "tp_sums"), *debug = json_object_get(root, "debug");
    const char *machine = json_string_value(json_object_get(root, "machine"));
    for (int i = 0; i < FIELDS; i++) {
        void *at = (char *)r + FIELD[i].at;
        double x;
        if (!number(root, FIELD[i].key, FIELD[i].lo, FIELD[i].hi, &x) || (FIELD[i].whole && x != floor(x)))
            return FIELD[i].key;
        if (FIELD[i].whole)
            *(int *)at = (int)x;
        else
            *(double *)at = x;
    }
    if ((int64_t)r->dp * r->tp != r->ranks)
        return "ranks";
    if (!machine || strlen(machine) >= sizeof r->machine)
        return "machine";
    snprintf(r->machine, sizeof r->machine, "%s", machine);
    if (!json_is_boolean(debug))
        return "debug";
    r->debug = json_is_true(debug);
    if (!json_is_array(sums) || json_array_size(sums) != (r->tp > 1 ? TP_SIZES : 0))
        return "tp_sums";
    for (size_t i = 0; i < json_array_size(sums); i++) {
        const json_t *one = json_array_get(sums, i);
        if (!number(one, "bytes", i ? r->tp_size[i - 1] + 1 : 1, 1e18, &r->tp_size[i]) ||
            !number(one, "seconds", 1e-9, 1e9, &r->tp_seconds[i]))
            return "tp_sums";
    }
    return NULL;
}

bool rates_read(Rates *r, const char *run, Err *e)
{
    char path[PATH_ROOM], *text;
    size_t n;
    json_error_t why;
    *r = (Rates){ 0 };
    if (!path_set(path, e, "%s/bench.json", run) || !file_read(path, FILE_MOST, &text, &n, e))
        return false;
    json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &why);
    const char *format = json_string_value(json_object_get(root, "format")), *wrong = root ? NULL : why.text;
    double version = 0;
    if (root && (!format || strcmp(format, FORMAT)))
        wrong = "format";
    else if (root && !number(root, "version", VERSION, VERSION, &version))
        wrong = "version";
    else if (root)
        wrong = take(r, root);
    if (wrong)
        err_set(e, EXIT_DATA, path, "`asvr bench` writes one", "these are not the rates of a machine: %s", wrong);
    json_decref(root);
    free(text);
    return !wrong;
}
