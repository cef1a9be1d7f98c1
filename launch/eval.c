/* eval.c -- `asvr eval`: losses and accuracies on held-out samples -> a table, RUN/eval.json, RUN/eval.png; or tables of benchmarks */
#include "launch/eval/evaluate.h"
#include "launch/kits/kits.h"
#include "launch/verbs.h"

static Evaluation *open_eval(Run *r, const Config *c, int64_t *step, Err *e)
{
    if ((c->text.model[0] && !run_text(r, e)) || !run_shards(r, SPLIT_VAL, e))
        return NULL;
    RunShape shape = run_shape(r, false);
    shape.answers = shards_meta(r->shards)->tasks[0] ? evaluate_at_once(c) : 0;
    shape.answers_by = "eval.batch";
    if (!run_model(r, &shape, e) || !run_weights_of(r, c->eval.from[0] ? c->eval.from : c->run.dir, step, e) || !run_codes_match(r, e))
        return NULL;
    model_pack(&r->model);
    return evaluate_open(r, r->shards, c->eval.samples, e);
}

static bool tell(const Evaluation *v, int64_t step, Err *e)
{
    evaluate_print(v, step);
    return evaluate_write(v, step, e) && evaluate_sheet(v, e);
}

int eval_main(const Config *c)
{
    static Run r;
    Err e = { 0 };
    int64_t step = 0;
    if (c->eval.tsv[0])
        return kits_main(c);
    run_open(&r, c, c->parallel.tp);
    Evaluation *v = open_eval(&r, c, &step, &e);
    if (v)
        evaluate_show(v);
    if (v && evaluate_run(v, NULL, NULL, NULL, &e) && r.grid.rank == 0)
        tell(v, step, &e);
    const bool ok = run_agree(&r, &e);
    if (!ok && r.grid.rank == 0)
        log_error(&e);
    evaluate_close(v);
    run_close(&r);
    return ok ? EXIT_DONE : e.code;
}
