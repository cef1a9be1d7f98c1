#include "launch/plan/cluster.h"

#include <libconfig.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "launch/config/include.h"
#include "launch/config/value.h"

/* ---- the file ---- */

#define AT(k, T)              _Generic(((Cluster *)0)->k, T: offsetof(Cluster, k))
#define WHOLE(k, d, lo, text)    { #k, INT,    AT(k, int),    lo, 1 << 20, NULL, d, text }
#define NUMBER(k, d, lo, text)   { #k, FLOAT,  AT(k, double), lo, 1e9,     NULL, d, text }
/* What has no default must be said.  share: `asvr bench configs/bench/small.cfg` (docs/PERF.md, "What a cluster would give"). */
static const Option FIELD[] = {
    { "name", STRING, AT(name, char *), 0, 0, NULL, "a machine", "what the machine is called" },
    WHOLE (cores, "", 1, "cores of a node"),
    WHOLE (sockets, "1", 1, "sockets of a node; they divide its cores"),
    NUMBER(gflops, "", 1e-3, "1e9 flops a second of sgemm on a core, all cores busy"),
    NUMBER(share, "0.87", 1e-3, "what forward and backward, with all that goes with products, reach of gflops"),
    NUMBER(memory, "", 1e-3, "GB/s of a node's memory"),
    NUMBER(ram, "", 1e-3, "GiB of a node"),
    NUMBER(alpha, "", 0, "microseconds of a message between nodes"),
    NUMBER(beta, "", 1e-6, "GB/s of a node's link, each way"),
    NUMBER(alpha_in, "", 0, "microseconds of a message between ranks of a node"),
    NUMBER(beta_in, "", 1e-6, "GB/s that a rank sends to others of its node"),
    NUMBER(overhead, "0.5", 0, "microseconds of a rank's processor for each message sent, and each received"),
    NUMBER(storage, "", 1e-6, "GB/s of the parallel file system for one job"),
    NUMBER(mtbf, "", 1e-3, "hours between failures of one node"),
};
enum { FIELDS = sizeof FIELD / sizeof *FIELD };
static const char GROUP[] = "cluster";

/* A table's offsets are into what it is a table of. */
static Config *into(Cluster *m) { return (Config *)(void *)m; }

static bool unknown(const char *key, const char *where, Err *e)
{
    const Option *near = FIELD;
    char hint[128];
    for (const Option *o = FIELD; o < FIELD + FIELDS; o++)
        if (text_distance(key, o->key) < text_distance(key, near->key))
            near = o;
    snprintf(hint, sizeof hint, "did you mean %s?  docs/FORMATS.md lists the keys of a described machine", near->key);
    return err_set(e, EXIT_CONFIG, where, hint, "a cluster has no key \"%s\"", key);
}

static bool take(Cluster *m, config_setting_t *s, const char *where, bool *seen, Err *e)
{
    const char *key = config_setting_name(s);
    for (int i = 0; i < FIELDS; i++)
        if (!strcmp(FIELD[i].key, key)) {
            const Value v = value_of(s);
            seen[i] = true;
            return option_set(&FIELD[i], into(m), &v, where, e);
        }
    return unknown(key, where, e);
}

static bool group_take(Cluster *m, config_setting_t *root, const Included *text, const char *path, Err *e)
{
    bool seen[FIELDS] = { false };
    char where[512];
    config_setting_t *group = config_setting_get_member(root, GROUP);
    for (int i = 0; i < config_setting_length(root); i++) {
        config_setting_t *s = config_setting_get_elem(root, (unsigned)i);
        include_where(text, (int)config_setting_source_line(s), where, sizeof where);
        if (s != group)
            return err_set(e, EXIT_CONFIG, where, "cluster: { name = \"...\"; cores = 64; ... };", "this is no described machine: \"%.64s\"",
                           config_setting_name(s));
    }
    if (!group || !config_setting_is_group(group))
        return err_set(e, EXIT_CONFIG, path, "configs/clusters/ has some", "this is no described machine: it has no group cluster: { ... };");
    for (int i = 0; i < config_setting_length(group); i++) {
        config_setting_t *s = config_setting_get_elem(group, (unsigned)i);
        include_where(text, (int)config_setting_source_line(s), where, sizeof where);
        if (!take(m, s, where, seen, e))
            return false;
    }
    for (int i = 0; i < FIELDS; i++)
        if (!seen[i] && !FIELD[i].def[0])
            return err_set(e, EXIT_CONFIG, path, FIELD[i].help, "the described machine does not say its %s", FIELD[i].key);
    if (m->cores % m->sockets)
        return err_set(e, EXIT_CONFIG, path, "", "sockets = %d does not divide cores = %d", m->sockets, m->cores);
    return true;
}

bool cluster_read(Cluster *m, const char *path, Err *e)
{
    Included text = { 0 };
    config_t cfg;
    char where[512];
    bool ok = false;
    *m = (Cluster){ 0 };
    for (int i = 0; i < FIELDS; i++)
        if (FIELD[i].def[0])
            option_parse(&FIELD[i], into(m), FIELD[i].def, "", e);
    config_init(&cfg);
    if (!include_read(&text, path, e)) {
        ;                                               /* e says why */
    } else if (!config_read_string(&cfg, text.text)) {
        include_where(&text, config_error_line(&cfg), where, sizeof where);
        err_set(e, EXIT_CONFIG, where, "a line is  key = value;", "the described machine cannot be parsed: %s", config_error_text(&cfg));
    } else {
        ok = group_take(m, config_root_setting(&cfg), &text, path, e);
    }
    config_destroy(&cfg);
    include_free(&text);
    return ok;
}

/* ---- numbers of nodes ---- */

static bool add(int out[NODES_LINES], int *n, int nodes)
{
    if (*n == NODES_LINES || (*n && nodes <= out[*n - 1]))
        return false;
    out[(*n)++] = nodes;
    return true;
}

/* Powers of two between the ends, and the ends. */
static bool add_range(int out[NODES_LINES], int *n, int from, int to)
{
    bool ok = add(out, n, from);
    if (from == to)
        return ok;
    for (int k = 1; k < to; k *= 2)
        if (k > from)
            ok &= add(out, n, k);
    return ok && add(out, n, to);
}

int cluster_nodes(int out[NODES_LINES], const char *text, Err *e)
{
    int n = 0;
    for (const char *s = text; *s;) {
        char *end;
        const long from = strtol(s, &end, 10);
        bool ok = end != s && from >= 1 && from <= NODES_MOST;
        if (ok && !strncmp(end, "..", 2)) {
            s = end + 2;
            const long to = strtol(s, &end, 10);
            ok = end != s && to >= from && to <= NODES_MOST && add_range(out, &n, (int)from, (int)to);
        } else {
            ok = ok && add(out, &n, (int)from);
        }
        if (!ok || (*end && *end != ',') || (*end && !end[1])) {
            err_expected(e, "growing numbers from 1 to %d, as 1,2,6 or 1..1024", NODES_MOST);
            err_got(e, "\"%.80s\"", text);
            err_set(e, EXIT_CONFIG, "plan.nodes", "a range goes by powers of two, and has its ends", "plan.nodes are no numbers of nodes");
            return 0;
        }
        s = end + (*end == ',');
    }
    return n;
}

/* ---- what messages cost ---- */

static double us(double x) { return 1e-6 * x; }
static double gb(double x) { return 1e9 * x; }

/* GB/s that a rank sends inside its node: a copy into shared memory and one out of it pass memory four times. */
static double within(const Cluster *m, int ranks_node) { return fmin(m->beta_in, m->memory / 4 / ranks_node); }

/* One step of a tree: every rank exchanges so many bytes with one at such a distance. */
static double step(const Cluster *m, int ranks_node, int64_t distance, double bytes)
{
    const bool far = distance >= ranks_node;
    return 2 * us(m->overhead) + us(far ? m->alpha : m->alpha_in) + (far ? ranks_node * bytes / gb(m->beta) : bytes / gb(within(m, ranks_node)));
}

double cluster_allreduce(const Cluster *m, int ranks_node, int p, int stride, double bytes, double *messages)
{
    enum { SMALL = 8192 };
    double t = 0;
    if (p == 1)
        return 0;
    const bool whole = bytes < SMALL;
    double each = whole ? bytes : bytes / 2;
    for (int64_t k = 1; k < p; k *= 2, each /= whole ? 1 : 2) {
        t += (whole ? 1 : 2) * step(m, ranks_node, k * stride, each);
        *messages += whole ? 1 : 2;
    }
    return t;
}

Cost cluster_exchange(const Cluster *m, int ranks_node, int dp, int near, double piece)
{
    const double out = ranks_node * (dp - near) * piece / gb(m->beta), in = (near - 1) * piece / gb(within(m, ranks_node));
    return (Cost){ .post = (dp - 1) * us(m->overhead), .land = (dp - 1) * us(m->overhead), .wire = fmax(out, in),
                   .alpha = us(dp > near ? m->alpha : m->alpha_in), .messages = dp - 1 };
}

/* ---- saves ---- */

double young_interval(double cost, double mtbf) { return sqrt(2 * cost * mtbf); }

double daly_interval(double cost, double mtbf)
{
    const double x = cost / (2 * mtbf);
    return x < 1 ? sqrt(2 * cost * mtbf) * (1 + sqrt(x) / 3 + x / 9) - cost : mtbf;
}
