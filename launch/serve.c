/* serve.c -- `asvr serve`: what clients ask is answered, many at once (launch/serve/jobs.h has the DESIGN) */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launch/eval/generate.h"
#include "launch/run.h"
#include "launch/serve/flow.h"
#include "launch/serve/http.h"
#include "launch/serve/reading.h"
#include "launch/verbs.h"

enum { LOOK = 100 /* milliseconds between looks at clients that wait */, DRAIN = 5000 /* for answers to be read, at the end */ };

/* An answer under way. */
typedef struct {
    Job   *job;                    /* NULL: the place is free */
    int    slot, prompt;           /* rows of the prompt */
    Flow   flow;
    double start;
} Work;

typedef struct {
    Run       r;
    Generator g;
    Prompt    prompt;
    Jobs      jobs;
    Http     *http;
    HttpConf  conf;
    Reading   reading;
    Work     *work;                /* (serve.batch) */
    int       works, cap;
    char     *text;                /* (cap) an answer so far */
    char      name[256], fingerprint[32];
} Serve;

static volatile sig_atomic_t asked_to_end;
static const Jobs *to_ring;

static void on_signal(int signal_)
{
    (void)signal_;
    asked_to_end++;
    jobs_ring(to_ring);
}

/* ---- one request ---- */

/* Takes a slot, or says why not. */
static bool begin(Serve *s, Work *w, Refusal *why)
{
    Job *j = w->job;
    const ChatRequest *a = &j->asked;
    const Config *c = s->r.c;
    const Talk talk = { a->turn, a->turns, a->images, a->system ? a->system : c->data.system[0] ? c->data.system : NULL };
    Err e = { 0 };
    if (!prompt_build(&s->prompt, s->r.text, c->data.template, &talk, &e))
        return refuse_err(why, "invalid_value", "messages", &e);
    w->prompt = decode_rows(&s->g.d, s->prompt.tokens, s->prompt.n);
    if (w->prompt > s->g.max_len)
        return refuse(why, 400, "context_length_exceeded", "messages", "the messages have %d tokens, and this model takes %d with the answer (a picture has %d)", w->prompt,
                      s->g.max_len, s->r.model.w.vision.P);
    if (j->why.status) {
        *why = j->why;
        return false;
    }
    const Request q = { .tokens = s->prompt.tokens, .n = s->prompt.n, .images = a->images, .pixels = j->pixels, .temperature = (float)a->temperature,
                        .seed = a->seed, .max_new = a->max_new };
    while ((w->slot = generate_add(&s->g, &q)) == GENERATE_FULL && generate_step(&s->g))
        ;                                                       /* one that was given up is free behind the next step */
    free(j->pixels);
    j->pixels = NULL;
    w->flow = (Flow){ .stop = a->stop, .stops = a->stops };
    return w->slot >= 0 || refuse(why, 400, "invalid_value", "messages", "this template and text model make an empty prompt of the messages");
}

static void finish(Serve *s, Work *w, const Refusal *why, bool length)
{
    const int made = w->slot >= 0 ? s->g.slot[w->slot].n_made : 0;
    printf("%s  %d  %d + %d tokens  %d picture%s  %.2f s\n", w->job->id, why ? why->status : 200, w->prompt, made, w->job->asked.images,
           w->job->asked.images == 1 ? "" : "s", now() - w->start);
    fflush(stdout);
    job_end(&s->jobs, w->job, why, length, w->prompt, made);
    if (w->slot >= 0)
        generate_release(&s->g, w->slot);
    w->job = NULL;
}

static void admit(Serve *s)
{
    for (int i = 0; i < s->works; i++) {
        Work *w = &s->work[i];
        Refusal why = { 0 };
        if (w->job || !(w->job = jobs_next(&s->jobs)))
            continue;
        w->start = now();
        w->slot = -1;
        w->prompt = 0;
        if (!begin(s, w, &why))
            finish(s, w, &why, false);
    }
}

/* What the last step has added to an answer. */
static void advance(Serve *s, Work *w)
{
    static const Refusal gone = { .status = 499, .message = "the client has gone" };
    const Ended ended = generate_ended(&s->g, w->slot);
    const char *from;
    if (job_gone(&s->jobs, w->job)) {
        finish(s, w, &gone, false);
        return;
    }
    generate_text(&s->g, w->slot, s->text, s->cap);
    const size_t n = flow_take(&w->flow, s->text, ended != ENDED_NOT, &from);
    job_say(&s->jobs, w->job, from, n);
    if (ended || w->flow.stopped)
        finish(s, w, NULL, ended == ENDED_LENGTH && !w->flow.stopped);
}

static int busy(const Serve *s)
{
    int n = 0;
    for (int i = 0; i < s->works; i++)
        n += s->work[i].job != NULL;
    return n;
}

static void step(Serve *s)
{
    generate_step(&s->g);
    for (int i = 0; i < s->works; i++)
        if (s->work[i].job)
            advance(s, &s->work[i]);
}

/* ---- all of them ---- */

/* The first signal lets what is under way come to its end, the second cuts it off. */
static void loop(Serve *s)
{
    static const Refusal cut = { .status = 503, .code = "stopping", .message = "the server was told to end at once" };
    while (!asked_to_end) {
        jobs_wait(&s->jobs, busy(s) ? 0 : -1);
        admit(s);
        if (busy(s))
            step(s);
    }
    http_quiesce(s->http);
    jobs_stop(&s->jobs);
    while (busy(s) && asked_to_end < 2) {
        jobs_wait(&s->jobs, 0);
        step(s);
    }
    for (int i = 0; i < s->works; i++)
        if (s->work[i].job)
            finish(s, &s->work[i], &cut, false);
    for (int waited = 0; jobs_left(&s->jobs) && waited < DRAIN; waited += LOOK)
        jobs_wait(&s->jobs, LOOK);
}

static void name_model(Serve *s, const Config *c)
{
    const char *dir = c->run.dir;
    size_t n = strlen(dir), from;
    while (n > 1 && dir[n - 1] == '/')
        n--;
    for (from = n; from > 0 && dir[from - 1] != '/'; from--)
        ;
    snprintf(s->name, sizeof s->name, "%.*s", (int)(n - from), dir + from);
    if (c->serve.name[0])
        snprintf(s->name, sizeof s->name, "%.255s", c->serve.name);
}

/* Of a request: more would not fit max_len. */
static int most_images(const Config *c)
{
    const int side = c->model.vision.image / c->model.vision.patch;
    return (int)min64(c->serve.max_images, max64(1, c->model.decoder.max_len / (side * side)));
}

static bool open_model(Serve *s, const Config *c, int64_t *at, Err *e)
{
    Run *r = &s->r;
    const ImageOps *image;
    const RunShape shape = { .stage = STAGE_INSTRUCT, .codes_given = c->model.codes.depth, .micro_batch = 1, .max_images = most_images(c), .max_len = 1,
                             .answers = c->serve.batch, .answers_by = "serve.batch" };
    if (!run_text(r, e) || !run_model(r, &shape, e) || !run_weights(r, at, e) || !(image = image_ops(e)))
        return false;
    image->allow(c->data.max_pixels);
    s->reading = (Reading){ .q = &s->jobs, .limits = &s->conf.limits, .image = image, .size = config_picture(c), .fit = config_fit(c) };
    const GeneratorShape g = { .slots = c->serve.batch, .max_len = c->model.decoder.max_len, .max_new = c->serve.max_tokens,
                               .template_ = c->data.template, .keep = true };
    generate_open(&s->g, &r->model, &r->tape, r->text, &g);
    s->works = c->serve.batch;
    s->work = calloc((size_t)s->works, sizeof *s->work);
    s->cap = 4096 + 32 * c->serve.max_tokens;
    s->text = malloc((size_t)s->cap);
    CHECK(s->work && s->text, "no memory for %d answers", s->works);
    snprintf(s->fingerprint, sizeof s->fingerprint, "fp_%016" PRIx64, run_fingerprint(r, NULL));
    model_pack(&r->model);
    return true;
}

/* Before the model is read, which may take minutes. */
static bool open_doors(Serve *s, const Config *c, Err *e)
{
    const size_t by_rows = (size_t)c->model.decoder.max_len * 64;
    name_model(s, c);
    s->conf = (HttpConf){ .address = c->serve.address, .port = c->serve.port, .key = c->serve.api_key, .timeout = c->serve.timeout,
                          .max_body = (size_t)c->serve.max_body, .slots = c->serve.batch, .connections = c->serve.batch + c->serve.queue + 64, .fingerprint = s->fingerprint,
                          .limits = { .model = s->name, .max_text = by_rows > 65536 ? by_rows : 65536, .max_images = most_images(c),
                                      .max_tokens = c->serve.max_tokens, .temperature = c->chat.temperature, .seed = (uint64_t)c->run.seed } };
    s->http = http_open(&s->conf, &s->jobs, e);
    return s->http != NULL;
}

static void listen_to_signals(Serve *s)
{
    const struct sigaction end = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
    to_ring = &s->jobs;
    sigaction(SIGTERM, &end, NULL);
    sigaction(SIGINT, &end, NULL);
    signal(SIGPIPE, SIG_IGN);               /* a client that goes is no reason to end */
}

int serve_main(const Config *c)
{
    Serve *s = calloc(1, sizeof *s);
    Err e = { 0 };
    int64_t at = 0;
    CHECK(s, "no memory for a server");
    run_open(&s->r, c, 1);
    jobs_open(&s->jobs, c->serve.queue, c->serve.batch, 8 * (size_t)c->serve.max_body);
    listen_to_signals(s);
    const bool ok = open_doors(s, c, &e) && open_model(s, c, &at, &e) && http_start(s->http, &e);
    if (ok) {
        const bool six = strchr(c->serve.address, ':') != NULL;
        printf("serving %s, step %lld, %d at once: http://%s%s%s:%d\n", s->name, (long long)at, s->works, six ? "[" : "", c->serve.address,
               six ? "]" : "", http_port(s->http));
        fflush(stdout);
        reading_open(&s->reading);
        loop(s);
        reading_close(&s->reading);
    } else {
        log_error(&e);
    }
    http_close(s->http);
    jobs_close(&s->jobs);
    generate_close(&s->g);
    prompt_free(&s->prompt);
    free(s->work);
    free(s->text);
    run_close(&s->r);
    free(s);
    return ok ? EXIT_DONE : e.code;
}
