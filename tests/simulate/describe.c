/* describe.c -- a configuration and a described machine become what a simulation reads: model, platform, hosts
 *
 *     describe OUT CONFIG CLUSTER NODES RANKS_A_NODE BUNDLE [KEY=VALUE ...]
 *
 * OUT/rank        Described (described.h)
 * OUT/cluster.xml the nodes: each a link to and from a fabric that never blocks; ranks of a node meet on a link of their own
 * OUT/hosts       where each rank is: a replica's ranks are neighbours
 *
 * BUNDLE N: a rank's messages of an exchange travel together (simmpi.cc), and up to N exchanges that start one behind the other; 0: each message by itself.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launch/plan/cluster.h"
#include "launch/plan/plan.h"
#include "io/base/log.h"
#include "launch/run.h"
#include "launch/step.h"
#include "tests/simulate/described.h"

static FILE *out(const char *dir, const char *name)
{
    char path[PATH_ROOM];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    CHECK(f, "cannot write %s", path);
    return f;
}

/* alpha lies on the two links that a message passes, half on each. */
static void platform(const char *dir, const Cluster *c, int nodes, int each, const Described *d)
{
    FILE *f = out(dir, "cluster.xml");
    fprintf(f, "<?xml version='1.0'?>\n<!DOCTYPE platform SYSTEM \"https://simgrid.org/simgrid.dtd\">\n<platform version=\"4.1\">\n"
               "  <cluster id=\"nodes\" prefix=\"n\" suffix=\"\" radical=\"0-%d\" speed=\"%.6ef\" core=\"%d\" bw=\"%.6eBps\" lat=\"%.6es\"\n"
               "           sharing_policy=\"SPLITDUPLEX\" loopback_bw=\"%.6eBps\" loopback_lat=\"%.6es\"/>\n</platform>\n",
            nodes - 1, d->rate, each, 1e9 * c->beta, 0.5e-6 * c->alpha, 1e9 * c->beta_in, 1e-6 * c->alpha_in);
    fclose(f);
    f = out(dir, "hosts");
    for (int r = 0; r < nodes * each; r++)
        fprintf(f, "n%d\n", r / each);
    fclose(f);
}

static void describe(Described *d, const Config *c, const Cluster *k, int ranks, int each, int bundle)
{
    const int kinds = c->model.codes.appearance_layer ? 2 : 1;
    const RunShape shape = { .stage = (Stage)c->train.stage, .train = true,
                             .codes_given = c->data.codes[0] ? c->model.codes.depth * kinds : 0,
                             .micro_batch = c->train.micro_batch, .max_images = c->train.micro_batch,
                             .max_len = c->model.decoder.max_len };
    static PlanRank r;
    Place place[PLACES];
    CHECK(c->train.optimizer == OPTIMIZER_ADAMW, "Muon is not simulated");
    d->conf = run_conf(c, &shape, d->trainable);
    CHECK(plan_rank(&r, c, &d->conf, ranks / c->parallel.tp, each > c->parallel.tp ? each / c->parallel.tp : 1, c->parallel.tp), "no such parts: %s", d->trainable);
    d->buckets = r.buckets;
    d->optim = r.optim.setup;
    d->ranks = ranks;
    d->tp = r.tp.size;
    d->leaves = r.tp.leaves;
    d->sequence = r.tp.sequence;
    d->each = each;
    d->bundle = bundle;
    d->tally = sizeof(Tally) / sizeof(double);
    d->losses = N_LOSSES * EXACT_WORDS;
    d->rate = 1e9 * k->share * k->gflops * k->cores / each;
    d->total = r.model.table.grads * (int64_t)sizeof(float);
    d->memory = 1e9 * k->memory / each;
    d->overhead = 1e-6 * k->overhead;
    const int n = plan_places(&r, place);
    for (int i = 0; i < n; i++) {
        d->plan[place[i].axis].calls += place[i].calls;
        d->plan[place[i].axis].bytes += place[i].bytes;
    }
    d->conf.trainable = NULL;
    plan_rank_close(&r);
}

int main(int argc, char **argv)
{
    static Config c;
    static ErrList errs;
    static Described d;
    CHECK(argc >= 7, "describe OUT CONFIG CLUSTER NODES RANKS_A_NODE BUNDLE [KEY=VALUE ...]");
    static Cluster k;
    const int nodes = atoi(argv[4]), each = atoi(argv[5]), bundle = atoi(argv[6]);
    CHECK(nodes > 0 && each > 0, "nodes and ranks a node are numbers from 1 on");
    if (!config_load(&c, argv[2], argv + 7, argc - 7, &errs) || !cluster_read(&k, argv[3], &errs.err[0])) {
        log_error(&errs.err[0]);
        return errs.err[0].code;
    }
    CHECK(nodes * each % c.parallel.tp == 0, "%d ranks do not divide into groups of %d", nodes * each, c.parallel.tp);
    describe(&d, &c, &k, nodes * each, each, bundle);
    platform(argv[1], &k, nodes, each, &d);
    FILE *f = out(argv[1], "rank");
    CHECK(fwrite(&d, sizeof d, 1, f) == 1 && fclose(f) == 0, "cannot write the rank's description");
    return EXIT_DONE;
}
