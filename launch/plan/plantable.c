/* plantable.c -- `asvr plan` with plan.nodes: a line a number of nodes, and what it rests on (plannodes.h) */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/base/files.h"
#include "launch/plan/plannodes.h"
#include "launch/run.h"
#include "launch/words.h"

/* LLaVA-1.5's two stages, and the larger mix of the paper. */
static const double PRETRAIN_SAMPLES = 558128, INSTRUCT_SAMPLES = 665298, MANY_SAMPLES = 2e6;

/* All numbers of nodes: of the configured stage, and of the other one on the same nodes.  samples 0: nothing fits. */
typedef struct {
    const Config *c;
    Cluster m;
    const Rates *rates;
    double learned;                    /* parameters */
    int    n;
    Point  p[NODES_LINES], other[NODES_LINES];
} Plan;

static const Point *first(const Plan *x)
{
    int i = 0;
    while (i < x->n - 1 && x->p[i].samples == 0)
        i++;
    return &x->p[i];
}

/* Samples a second and node, against those of the first line: weak and strong alike. */
static double efficiency(const Point *p, const Point *of) { return p->samples / p->nodes / (of->samples / of->nodes); }

static double node_hours(const Point *p, double samples) { return samples / p->samples * p->nodes / 3600; }

/* Both stages, or NAN where the other one does not fit: "-", and an empty cell. */
static double llava_hours(const Plan *x, int i)
{
    const bool instruct = x->c->train.stage == STAGE_INSTRUCT;
    const Point *pre = instruct ? &x->other[i] : &x->p[i], *ins = instruct ? &x->p[i] : &x->other[i];
    return pre->samples > 0 && ins->samples > 0 ? node_hours(pre, PRETRAIN_SAMPLES) + node_hours(ins, INSTRUCT_SAMPLES) : NAN;
}

static double mtbf(const Plan *x, const Point *p) { return 3600 * x->m.mtbf / p->nodes; }

/* Share of the time that saves and what failures undo take, saving every t seconds. */
static double lost(const Plan *x, const Point *p, double t)
{
    return p->wait / t + (t / 2 + (x->c->ckpt.async ? p->write : 0)) / mtbf(x, p);
}

/* ---- the machine ---- */

static void print_head(const Plan *x)
{
    const Cluster *m = &x->m;
    const Config *c = x->c;
    printf("%s: nodes of %d cores (%d socket%s), %.4g GF/s a core, %.4g GB/s, %.4g GiB; network %.4g us, %.4g GB/s a node\n",
           m->name[0] ? m->name : c->plan.cluster, m->cores, m->sockets, m->sockets == 1 ? "" : "s", m->gflops, m->memory, m->ram, m->alpha, m->beta);
    printf("stage %s, max_len %d, %s; ", STAGE_NAME[c->train.stage], c->model.decoder.max_len,
           c->train.optimizer == OPTIM_MUON ? "Muon" : "AdamW");
    if (c->plan.scaling == SCALING_WEAK)
        printf("weak scaling: %g samples a node in a step\n", (double)x->p[0].global_batch / x->p[0].nodes);
    else
        printf("strong scaling: %d samples in a step\n", c->train.global_batch);
}

/* ---- the two tables ---- */

static void print_misfit(const Plan *x, const Point *p)
{
    if (p->memory > 0)
        printf("%5d  does not fit: %.1f GiB a node at least, of %.4g x 0.94\n", p->nodes, p->memory / (1 << 30), x->m.ram);
    else
        printf("%5d  no grid divides a batch of %d\n", p->nodes, p->global_batch);
}

static void print_times(const Plan *x)
{
    const char *kind = x->c->plan.scaling == SCALING_WEAK ? "weak" : "strong";
    printf("\n%5s  %-9s %4s %5s  %-7s %9s %9s %8s %8s %7s %7s  %8s %6s %6s\n", "", "replicas", "", "micro", "ranks x", "step", "compute", "tp", "dp", "update",
           "rest", "samples", kind, "of");
    printf("%5s  %-9s %4s %5s  %-7s %9s %9s %8s %8s %7s %7s  %8s %6s %6s\n", "nodes", "x tp", "zero", "batch", "threads", "s", "s", "s", "s", "s", "s", "a second",
           "eff.", "sgemm");
    for (int i = 0; i < x->n; i++) {
        const Point *p = &x->p[i];
        char grid[32], ranks[32];
        if (p->samples == 0) {
            print_misfit(x, p);
            continue;
        }
        snprintf(grid, sizeof grid, "%d x %d", p->replicas, p->tp);
        snprintf(ranks, sizeof ranks, "%d x %d", p->ranks_node, p->threads);
        printf("%5d  %-9s %4d %5d  %-7s %9.3f %9.3f %8.3f %8.3f %7.3f %7.3f  %8.4g %6.3f %6.3f\n", p->nodes, grid, p->zero, p->micro_batch, ranks, p->step,
               p->compute, p->tp_s, p->dp, p->optimizer, p->rest, p->samples, efficiency(p, first(x)), p->sgemm);
    }
}

static void print_costs(const Plan *x)
{
    printf("\n%5s %8s %10s %9s  %10s %10s %8s  %8s %8s %11s %10s %6s\n", "", "GiB", "messages", "GiB", "node-hours", "node-hours", "days", "a save", "",
           "save every", "save every", "lost");
    printf("%5s %8s %10s %9s  %10s %10s %8s  %8s %8s %11s %10s %6s\n", "nodes", "a node", "a rank", "a rank", "558K+665K", "2M", "2M", "writes s", "waits s",
           "min, Young", "min, Daly", "%");
    for (int i = 0; i < x->n; i++) {
        const Point *p = &x->p[i];
        if (p->samples == 0)
            continue;
        const double gib = 1 << 30, young = young_interval(p->write, mtbf(x, p)), daly = daly_interval(p->write, mtbf(x, p));
        char both[24] = "-";
        if (!isnan(llava_hours(x, i)))
            snprintf(both, sizeof both, "%.1f", llava_hours(x, i));
        printf("%5d %8.1f %10.0f %9.2f  %10s %10.1f %8.2f  %8.1f %8.3f %11.1f %10.1f %6.2f\n", p->nodes, p->memory / gib, p->messages, p->bytes / gib,
               both, node_hours(p, MANY_SAMPLES), MANY_SAMPLES / p->samples / 86400, p->write, p->wait, young / 60, daly / 60,
               100 * lost(x, p, daly));
    }
}

/* ---- where it is lost ---- */

void nodes_losses(const Point *p, const Point *of, Loss out[LOSSES])
{
    const double work = (double)p->global_batch / p->nodes / ((double)of->global_batch / of->nodes);
    const double messages = p->dp - p->dp_bytes, wire = p->dp_bytes - p->dp_adds;
    const double messages_of = of->dp - of->dp_bytes, wire_of = of->dp_bytes - of->dp_adds;
    const Loss loss[LOSSES] = {
        { "dp: a processor's time a message", messages - work * messages_of }, { "dp: bytes on the links", wire - work * wire_of },
        { "dp: adding pieces up", p->dp_adds - work * of->dp_adds }, { "tp: sums in every block", p->tp_s - work * of->tp_s },
        { "update", p->optimizer - work * of->optimizer }, { "compute and the rest", p->compute + p->rest - work * (of->compute + of->rest) },
    };
    double sum = 0;
    for (int k = 0; k < LOSSES; k++)
        sum += fmax(0, loss[k].share);
    const double all = fmax(0, 1 - efficiency(p, of));
    for (int k = 0; k < LOSSES; k++)
        out[k] = (Loss){ loss[k].name, sum > 0 ? all * fmax(0, loss[k].share) / sum : 0 };
}

static void print_losses(const Plan *x)
{
    printf("\n%-36s", "nodes");
    for (int i = 0; i < x->n; i++)
        if (x->p[i].samples > 0)
            printf(" %6d", x->p[i].nodes);
    printf("\nlost against the first line, %% of a step\n");
    for (int k = 0; k < LOSSES; k++) {
        Loss loss[LOSSES];
        double most = 0;
        for (int i = 0; i < x->n; i++)
            if (x->p[i].samples > 0) {
                nodes_losses(&x->p[i], first(x), loss);
                most = fmax(most, loss[k].share);
            }
        if (most < 0.0005)
            continue;
        printf("  %-34s", loss[k].name);
        for (int i = 0; i < x->n; i++)
            if (x->p[i].samples > 0) {
                nodes_losses(&x->p[i], first(x), loss);
                printf(" %6.1f", 100 * loss[k].share);
            }
        printf("\n");
    }
}

/* ---- what it rests on ---- */

static void print_rates(const Plan *x)
{
    const Cluster *m = &x->m;
    const Rates *r = x->rates;
    printf("\nassumed\n"
           "  compute     sgemm %.4g GF/s a core, all busy; forward %.2f and backward %.2f of it, all of it %.2f times as long for what is left:\n"
           "              %s%s; threads lose nothing; %.4g GB/s of memory a node for updates and sums\n", m->gflops,
           r ? r->forward : m->share, r ? r->backward : m->share, r ? r->rest : nodes_rest,
           r ? "rates of " : "bench/small on two cores (docs/PERF.md)", r ? r->machine : "", m->memory);
    printf("  a message   alpha-beta: %.4g us + bytes / %.4g GB/s, of which the ranks of a node have one; inside a node %.4g us, %.4g GB/s a rank,\n"
           "              a quarter of the memory's rate for all; behind the nodes' links no contention; LogGP's o (Alexandrov et al. 1995):\n"
           "              %.4g us of the rank's processor to send one and to take one in, which nothing hides\n",
           m->alpha, m->beta, m->alpha_in, m->beta_in, m->overhead);
}

static double hidden(const Point *p) { return p->dp_total > 0 ? 100 * (1 - fmin(1, p->dp / p->dp_total)) : 0; }

static void print_rests(const Plan *x)
{
    const Cluster *m = &x->m;
    const Config *c = x->c;
    const Point *p = first(x), *last = p;
    for (int i = 0; i < x->n; i++)
        last = x->p[i].samples > 0 ? &x->p[i] : last;
    print_rates(x);
    printf("  tp          sums in two phases run beside products; the others: allreduce by Open MPI 4.1's rule, recursive doubling below 8 KiB,\n"
           "              else Rabenseifner, 2 log2(p) steps (Thakur et al. 2005)\n");
    printf("  dp          dist/bucket.c and zeroweights.c replayed: buckets of 128 KiB a message, 2 MiB at least; each all to all, then\n"
           "              collected, in levels: sum(members - 1) messages a rank each time; ");
    printf("they start and go on at calls of the door alone, 3 a decoder\n"
           "              block: at %d node%s %.0f %% hides behind backward.  Ranks are alike and in step, MPI moves what is under way\n", last->nodes,
           last->nodes == 1 ? "" : "s", hidden(last));
    printf("  memory      0.94 of a node's.  Grids: ranks that fill sockets; tp and micro-batches of powers of two, to %d and 16;\n"
           "              whole replicas on a node or whole nodes a replica%s\n", NODES_TP,
           c->plan.grid == GRID_GIVEN ? ".  plan.grid = \"given\": the configured one alone" : "");
    printf("  saves       C: %.2f GiB at 0.78 of %.4g GB/s (docs/PERF.md), %.1f s; training waits %s.\n"
           "              M: %.6g h / nodes.  Young 1974: sqrt(2 C M); Daly 2006, (37).  Lost at Daly's interval: what training waits, and a\n"
           "              failure's half interval%s; restarts are not in it\n", p->saved / (1 << 30), m->storage, p->write,
           c->ckpt.async ? "for the copy (ckpt.async)" : "as long", m->mtbf, c->ckpt.async ? " and write" : "");
    printf("  node-hours  558,128 samples of stage pretrain and 665,298 of instruct, each by its best grid; 2,000,000 of %s; each a picture and\n"
           "              %d rows; without data, saves, failures, evaluations\n", STAGE_NAME[c->train.stage], c->model.decoder.max_len);
}

/* ---- files ---- */

static bool write_csv(const Plan *x, Err *e)
{
    char *out = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&out, &size);
    CHECK(f, "no memory for a table");
    fprintf(f, "nodes,ranks,dp,tp,zero,micro_batch,step,compute,tp_s,dp_exposed,dp_total,optimizer,messages,bytes,rest,dp_bytes_s,dp_adds_s,ranks_node,threads,"
               "global_batch,samples,efficiency,sgemm,memory,saved,write_s,wait_s,young_s,daly_s,hours_1223k,hours_2m\n");
    for (int i = 0; i < x->n; i++) {
        const Point *p = &x->p[i];
        if (p->samples == 0)
            continue;
        fprintf(f, "%d,%lld,%d,%d,%d,%d,%.6g,%.6g,%.6g,%.6g,%.6g,%.6g,%.0f,%.0f,%.6g,%.6g,%.6g,%d,%d,", p->nodes, (long long)p->nodes * p->ranks_node, p->replicas, p->tp,
                p->zero, p->micro_batch, p->step, p->compute, p->tp_s, p->dp, p->dp_total, p->optimizer, p->messages, p->bytes, p->rest, p->dp_bytes, p->dp_adds,
                p->ranks_node, p->threads);
        fprintf(f, "%d,%.6g,%.6g,%.6g,%.0f,%.0f,%.6g,%.6g,%.6g,%.6g,", p->global_batch, p->samples, efficiency(p, first(x)), p->sgemm, p->memory, p->saved, p->write,
                p->wait, young_interval(p->write, mtbf(x, p)), daly_interval(p->write, mtbf(x, p)));
        if (!isnan(llava_hours(x, i)))
            fprintf(f, "%.6g", llava_hours(x, i));
        fprintf(f, ",%.6g\n", node_hours(p, MANY_SAMPLES));
    }
    CHECK(fclose(f) == 0, "no memory for a table");
    const bool ok = file_replace(x->c->plan.csv, out, size, e);
    free(out);
    return ok;
}

static bool write_svg(const Plan *x, Err *e)
{
    char title[256], below[256];
    const bool weak = x->c->plan.scaling == SCALING_WEAK;
    snprintf(title, sizeof title, "%s efficiency, %.150s", weak ? "Weak" : "Strong", x->m.name[0] ? x->m.name : x->c->plan.cluster);
    snprintf(below, sizeof below, "stage %s, %.3g B parameters learn; %g samples %s; predicted by asvr plan, not measured", STAGE_NAME[x->c->train.stage],
             1e-9 * x->learned, weak ? (double)x->p[0].global_batch / x->p[0].nodes : x->c->train.global_batch, weak ? "a node" : "in a step");
    return nodes_svg(x->c->plan.svg, title, below, x->p, x->n, e);
}

/* ---- the verb ---- */

/* The batch of each number of nodes. */
static bool batches(Plan *x, const int nodes[], Err *e)
{
    for (int i = 0; i < x->n; i++) {
        const int64_t b = (int64_t)x->c->train.global_batch * nodes[i];
        x->p[i] = (Point){ .nodes = nodes[i], .global_batch = x->c->train.global_batch };
        if (x->c->plan.scaling == SCALING_STRONG)
            continue;
        if (b % nodes[0] || b / nodes[0] > INT32_MAX)
            return err_set(e, EXIT_CONFIG, "plan.scaling", "begin plan.nodes with a number that divides the others, or train.global_batch",
                           "train.global_batch = %d on %d nodes is no whole number of samples on %d", x->c->train.global_batch, nodes[0], nodes[i]);
        x->p[i].global_batch = (int)(b / nodes[0]);
    }
    return true;
}

/* The stage that the configuration is not. */
static bool other_stage(Plan *x, Err *e)
{
    static Config c;
    c = *x->c;
    c.train.trainable[0] = 0;
    c.train.stage = c.train.stage == STAGE_INSTRUCT ? STAGE_PRETRAIN : STAGE_INSTRUCT;
    Nodes *n = nodes_open(&c, (Stage)c.train.stage, &x->m, x->rates, e);
    for (int i = 0; i < x->n && !e->code; i++)
        nodes_best(n, x->p[i].nodes, x->p[i].global_batch, &x->other[i]);
    nodes_close(n);
    return !e->code;
}

static bool fill(Plan *x, Err *e)
{
    double least = 0;
    bool any = false;
    Nodes *n = nodes_open(x->c, (Stage)x->c->train.stage, &x->m, x->rates, e);
    for (int i = 0; i < x->n && !e->code; i++) {
        any |= nodes_best(n, x->p[i].nodes, x->p[i].global_batch, &x->p[i]);
        least = least > 0 ? fmin(least, x->p[i].memory) : x->p[i].memory;
    }
    x->learned = e->code ? 0 : nodes_learned(n);
    nodes_close(n);
    if (e->code)
        return false;
    if (!any && least > 0)
        return err_set(e, EXIT_CONFIG, "plan.nodes", "more nodes allow more tp, and ZeRO shares moments", "no grid fits: %.1f GiB a node at least, ram = %.4g x 0.94",
                       least / (1 << 30), x->m.ram);
    if (!any)
        return err_set(e, EXIT_CONFIG, "plan.nodes", "ranks / tp must divide train.global_batch, and a micro-batch each replica's share",
                       "no grid on these nodes divides a batch of %d", x->p[0].global_batch);
    return other_stage(x, e);
}

bool plan_nodes(const Config *c, const Rates *rates, Err *e)
{
    static Plan x;
    int nodes[NODES_LINES];
    char own[PATH_ROOM];
    x = (Plan){ .c = c, .rates = rates };
    if (!c->plan.nodes[0] || !c->plan.cluster[0])
        return err_set(e, EXIT_CONFIG, c->plan.nodes[0] ? "plan.nodes" : "plan.cluster", "e.g. --set plan.cluster=configs/clusters/epyc-hdr.cfg --set plan.nodes=1..1024",
                       "%s wants %s, too", c->plan.nodes[0] ? "plan.nodes" : "plan.cluster", c->plan.nodes[0] ? "plan.cluster" : "plan.nodes");
    if (c->train.stage < STAGE_PRETRAIN)
        return err_set(e, EXIT_CONFIG, "train.stage", "", "plan.nodes counts for the stages pretrain and instruct");
    if (!cluster_read(&x.m, words_file(own, c->plan.cluster), e) || !(x.n = cluster_nodes(nodes, c->plan.nodes, e)) || !batches(&x, nodes, e) || !fill(&x, e))
        return false;
    print_head(&x);
    print_times(&x);
    print_costs(&x);
    print_losses(&x);
    print_rests(&x);
    return (!c->plan.csv[0] || write_csv(&x, e)) && (!c->plan.svg[0] || write_svg(&x, e));
}
