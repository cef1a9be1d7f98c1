#include "dist/comm.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "core/prof.h"

/* MPI counts are int, so long messages go in pieces.  Sums go in shorter ones than they must: on two ranks that share
   memory 64 MB take 30 ms as a whole and 12 ms in pieces of 1 to 8 MB, which stay in cache. */
enum { BCAST_PIECE = 1 << 30 /* bytes */, REDUCE_PIECE = 1 << 20, EXCHANGE_PIECE = 1 << 28 /* elements */ };

static void check(int rc, const char *call)
{
    if (rc == MPI_SUCCESS)
        return;
    char text[MPI_MAX_ERROR_STRING] = "";
    MPI_Error_string(rc, text, &(int){0});
    CHECK(0, "%s: %s", call, text);
}

/* ---- what is counted ---- */

CommCount comm_count[AXES];
CommNow comm_now;
double comm_waited;

/* MPI keeps it with the communicator: the axis that it serves, which one it is in the order of their making, and how many
   collectives it has seen. */
typedef struct { int axis, id; int64_t number; } Note;

static int forget(MPI_Comm comm, int key, void *note, void *extra)
{
    (void)comm, (void)key, (void)extra;
    free(note);
    return MPI_SUCCESS;
}

static Note *note_of(MPI_Comm comm)
{
    static int key = MPI_KEYVAL_INVALID, made;
    Note *n;
    int found;
    if (key == MPI_KEYVAL_INVALID)
        check(MPI_Comm_create_keyval(MPI_COMM_NULL_COPY_FN, forget, &key, NULL), "MPI_Comm_create_keyval");
    check(MPI_Comm_get_attr(comm, key, &n, &found), "MPI_Comm_get_attr");
    if (found)
        return n;
    n = calloc(1, sizeof *n);
    CHECK(n, "no memory for what is known of a communicator");
    n->id = made++;
    check(MPI_Comm_set_attr(comm, key, n), "MPI_Comm_set_attr");
    return n;
}

void comm_axis(MPI_Comm comm, int axis) { note_of(comm)->axis = axis; }

/* From enter to leave the main thread is in a collective, for all to see (watch.h).  Nobody else writes, so no store needs
   the bus for itself. */
typedef struct { Note *note; double since; int64_t bytes; } Visit;

static void show(uint64_t inside)
{
    atomic_store_explicit(&comm_now.inside, inside, memory_order_relaxed);
    atomic_store_explicit(&comm_now.moves, atomic_load_explicit(&comm_now.moves, memory_order_relaxed) + 1, memory_order_relaxed);
}

static Visit enter_numbered(MPI_Comm comm, int kind, int64_t number)
{
    Note *n = note_of(comm);
    const Visit v = { n, now(), comm_count[n->axis].bytes };
    prof_begin(comm_kind(kind));
    show(comm_pack((CommWhere){ kind, n->axis, n->id, number }));
    return v;
}

static Visit enter(MPI_Comm comm, int kind) { return enter_numbered(comm, kind, ++note_of(comm)->number); }

/* away: bytes that were sent before, for which it has waited. */
static void ends(Visit v, int64_t away)
{
    show(0);
    prof_sent(v.note->axis, comm_count[v.note->axis].bytes - v.bytes + away);
    prof_end();
}

static void leave(Visit v)
{
    comm_waited += now() - v.since;
    ends(v, 0);
}

/* Of what is counted: its time is, too. */
static void spent(const Note *n, double since)
{
    const double t = now() - since;
    comm_count[n->axis].seconds += t;
    comm_waited += t;
}

static void leave_counted(Visit v, int64_t away) { spent(v.note, v.since), ends(v, away); }

static void sent(const Note *n, int64_t bytes)
{
    CommCount *c = &comm_count[n->axis];
    c->calls += bytes > 0;
    c->bytes += bytes;
}

/* Bytes of the pieces that others have. */
static int64_t of_others(MPI_Comm comm, const int *count, int elem)
{
    int64_t n = -count[comm_rank(comm)];
    for (int r = 0; r < comm_size(comm); r++)
        n += count[r];
    return n * elem;
}

/* ---- do all ranks do the same? ---- */

enum { BARRIER, SUM, MAXIMUM, BROADCAST, AGREEMENT, GATHER, AGREEMENT_START, EXCHANGE, COLLECT, KINDS };
static const char *const KIND[KINDS] = { "barrier", "allreduce", "allreduce (maximum)", "broadcast", "agreement", "all-gather",
                                         "agreement in two phases", "all-to-all", "all-gather in two phases" };
enum { NUMBER, WHAT, BYTES, TOLD };

const char *comm_kind(int kind) { return kind >= 0 && kind < KINDS ? KIND[kind] : "collective"; }

/* The question travels without blocking, so that it pairs with whatever the others are about to do.  A maximum of numbers
   and of their negatives tells whether they are equal. */
static void ask(MPI_Comm comm, int kind, int64_t bytes, CommOp *op)
{
    const int64_t told[TOLD] = { note_of(comm)->number, kind, bytes };
    op->comm = comm;
    for (int i = 0; i < TOLD; i++) {
        op->mine[i] = told[i];
        op->mine[TOLD + i] = -told[i];
    }
    check(MPI_Iallreduce(op->mine, op->all, 2 * TOLD, MPI_INT64_T, MPI_MAX, comm, &op->check), "MPI_Iallreduce");
}

static void judge(const CommOp *op)
{
    int64_t odd[2 * TOLD];
    int same = 1;
    for (int i = 0; i < TOLD; i++)
        same &= op->all[i] == -op->all[TOLD + i];
    if (same)
        return;
    /* Everybody learns the first rank that differs from rank 0, and both their plans. */
    int64_t first[TOLD];
    const int size = comm_size(op->comm), rank = comm_rank(op->comm);
    int who = 0;
    for (int r = 0; r < size; r++) {
        memcpy(odd, op->mine, sizeof odd);
        check(MPI_Bcast(odd, TOLD, MPI_INT64_T, r, op->comm), "MPI_Bcast");
        if (r == 0)
            memcpy(first, odd, sizeof first);
        if (memcmp(odd, first, sizeof first) == 0)
            continue;
        who = r;
        break;
    }
    CHECK(0, "ranks do not agree on the next collective (this is rank %d of %d): rank 0 is at number %lld, %s of %lld bytes; "
          "rank %d is at number %lld, %s of %lld bytes", rank, size, (long long)first[NUMBER], KIND[first[WHAT]],
          (long long)first[BYTES], who, (long long)odd[NUMBER], KIND[odd[WHAT]], (long long)odd[BYTES]);
}

static void agree_on(MPI_Comm comm, int kind, int64_t bytes)
{
    CommOp op;
    if (!DEBUG_CHECKS)
        return;
    ask(comm, kind, bytes, &op);
    check(MPI_Wait(&op.check, MPI_STATUS_IGNORE), "MPI_Wait");
    judge(&op);
}

/* ---- wrappers ---- */

int comm_rank(MPI_Comm comm)
{
    int rank;
    check(MPI_Comm_rank(comm, &rank), "MPI_Comm_rank");
    return rank;
}

int comm_size(MPI_Comm comm)
{
    int size;
    check(MPI_Comm_size(comm, &size), "MPI_Comm_size");
    return size;
}

void comm_barrier(MPI_Comm comm)
{
    const Visit v = enter(comm, BARRIER);
    agree_on(comm, BARRIER, 0);
    check(MPI_Barrier(comm), "MPI_Barrier");
    leave(v);
}

static void reduce(MPI_Comm comm, void *x, int64_t n, MPI_Datatype type, size_t elem, MPI_Op how)
{
    const int kind = how == MPI_SUM ? SUM : MAXIMUM;
    const Visit v = enter(comm, kind);
    sent(v.note, comm_sum_bytes(n * (int64_t)elem, comm_size(comm)));
    agree_on(comm, kind, n * (int64_t)elem);
    for (char *p = x; n > 0; n -= REDUCE_PIECE, p += REDUCE_PIECE * elem)
        check(MPI_Allreduce(MPI_IN_PLACE, p, (int)min64(n, REDUCE_PIECE), type, how, comm), "MPI_Allreduce");
    leave_counted(v, 0);
}

void comm_sum_f32(MPI_Comm comm, float *x, int64_t n) { reduce(comm, x, n, MPI_FLOAT, sizeof *x, MPI_SUM); }
void comm_sum_f64(MPI_Comm comm, double *x, int64_t n) { reduce(comm, x, n, MPI_DOUBLE, sizeof *x, MPI_SUM); }
void comm_sum_i64(MPI_Comm comm, int64_t *x, int64_t n) { reduce(comm, x, n, MPI_INT64_T, sizeof *x, MPI_SUM); }
void comm_sum_u64(MPI_Comm comm, uint64_t *x, int64_t n) { reduce(comm, x, n, MPI_UINT64_T, sizeof *x, MPI_SUM); }
void comm_max_f32(MPI_Comm comm, float *x, int64_t n) { reduce(comm, x, n, MPI_FLOAT, sizeof *x, MPI_MAX); }
void comm_max_f64(MPI_Comm comm, double *x, int64_t n) { reduce(comm, x, n, MPI_DOUBLE, sizeof *x, MPI_MAX); }

void comm_bcast(MPI_Comm comm, void *x, size_t bytes, int root)
{
    int64_t n = (int64_t)bytes;
    const Visit v = enter(comm, BROADCAST);
    agree_on(comm, BROADCAST, n);
    for (char *p = x; n > 0; n -= BCAST_PIECE, p += BCAST_PIECE)
        check(MPI_Bcast(p, (int)min64(n, BCAST_PIECE), MPI_BYTE, root, comm), "MPI_Bcast");
    leave(v);
}

/* ---- in two phases ---- */

static int under_way;

static Note *begin(MPI_Comm comm, int kind, int64_t bytes, int64_t away, CommOp *op)
{
    Note *n = note_of(comm);
    sent(n, away);
    op->comm = comm;
    op->kind = kind;
    op->away = away;
    op->number = ++n->number;
    op->check = MPI_REQUEST_NULL;
    if (DEBUG_CHECKS)
        ask(comm, kind, bytes, op);
    under_way++;
    return n;
}

/* MPI has no call that only moves; a probe of a communicator on which nobody sends ends at once and finds nothing. */
void comm_progress(void)
{
    static const double APART = 2e-4;              /* a probe takes a microsecond, or as many as there are operations under way */
    static double last;
    int main_thread = 1, any;
    if (under_way == 0 || now() - last < APART)
        return;
    if (DEBUG_CHECKS)
        check(MPI_Is_thread_main(&main_thread), "MPI_Is_thread_main");
    ASSERT(main_thread);
    check(MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_SELF, &any, MPI_STATUS_IGNORE), "MPI_Iprobe");
    last = now();
}

bool comm_test(CommOp *op)
{
    const double since = now();
    int ended, answered = 1;
    check(MPI_Test(&op->request, &ended, MPI_STATUS_IGNORE), "MPI_Test");
    if (ended && DEBUG_CHECKS) {                   /* not waiting: whoever has not asked yet may be waiting for us elsewhere */
        check(MPI_Test(&op->check, &answered, MPI_STATUS_IGNORE), "MPI_Test");
        if (answered)
            judge(op);
    }
    spent(note_of(op->comm), since);
    under_way -= ended && answered;
    return ended && answered;
}

void comm_wait(CommOp *op)
{
    const Visit v = enter_numbered(op->comm, op->kind, op->number);
    if (DEBUG_CHECKS) {
        check(MPI_Wait(&op->check, MPI_STATUS_IGNORE), "MPI_Wait");
        judge(op);
    }
    check(MPI_Wait(&op->request, MPI_STATUS_IGNORE), "MPI_Wait");
    under_way--;
    leave_counted(v, op->away);
}

void comm_agree_start(MPI_Comm comm, int *code, CommOp *op)
{
    begin(comm, AGREEMENT_START, 0, 0, op);
    check(MPI_Iallreduce(MPI_IN_PLACE, code, 1, MPI_INT, MPI_MAX, comm, &op->request), "MPI_Iallreduce");
}

static int64_t total_of(MPI_Comm comm, const int *count)
{
    int64_t n = 0;
    for (int r = 0; r < comm_size(comm); r++)
        n += count[r];
    return n;
}

static MPI_Datatype type_of(int elem) { return elem == 2 ? MPI_UINT16_T : elem == 8 ? MPI_INT64_T : MPI_FLOAT; }

void comm_exchange_start(MPI_Comm comm, const void *send, CommPieces to, void *recv, CommPieces from, int elem, int64_t total,
                         CommOp *op)
{
    const double since = now();
    const MPI_Datatype type = type_of(elem);
    const Note *note = begin(comm, EXCHANGE, total * elem, of_others(comm, to.count, elem), op);
    check(MPI_Ialltoallv(send, to.count, to.at, type, recv, from.count, from.at, type, comm, &op->request), "MPI_Ialltoallv");
    spent(note, since);
}

void comm_collect_start(MPI_Comm comm, void *x, CommPieces pieces, int elem, CommOp *op)
{
    const double since = now();
    const MPI_Datatype type = type_of(elem);
    const int64_t mine = pieces.count[comm_rank(comm)];
    const Note *note = begin(comm, COLLECT, DEBUG_CHECKS ? total_of(comm, pieces.count) * elem : 0,
                             mine * elem * (comm_size(comm) - 1), op);
    check(MPI_Iallgatherv(MPI_IN_PLACE, 0, type, x, pieces.count, pieces.at, type, comm, &op->request), "MPI_Iallgatherv");
    spent(note, since);
}

/* ---- agreeing ---- */

int comm_agree(MPI_Comm comm, int code)
{
    const Visit v = enter(comm, AGREEMENT);
    agree_on(comm, AGREEMENT, 0);
    check(MPI_Allreduce(MPI_IN_PLACE, &code, 1, MPI_INT, MPI_MAX, comm), "MPI_Allreduce");
    leave(v);
    return code;
}

void comm_agrees(MPI_Comm comm, bool begins)
{
    static Visit v;
    if (begins)
        v = enter(comm, AGREEMENT);
    else
        leave(v);
}

void comm_gather(MPI_Comm comm, const void *mine, void *all, int bytes)
{
    const Visit v = enter(comm, GATHER);
    agree_on(comm, GATHER, bytes);
    check(MPI_Allgather(mine, bytes, MPI_BYTE, all, bytes, MPI_BYTE, comm), "MPI_Allgather");
    leave(v);
}

void comm_gather_u64(MPI_Comm comm, uint64_t value, uint64_t *all) { comm_gather(comm, &value, all, sizeof value); }

/* MPI's default is to abort by itself, before the wrappers could say where. */
static MPI_Comm ours(MPI_Comm comm)
{
    check(MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
    return comm;
}

MPI_Comm comm_split(MPI_Comm comm, int color, int key)
{
    MPI_Comm part;
    check(MPI_Comm_split(comm, color, key, &part), "MPI_Comm_split");
    return ours(part);
}

MPI_Comm comm_split_node(MPI_Comm comm)
{
    MPI_Comm node;
    int rc = MPI_Comm_split_type(comm, MPI_COMM_TYPE_SHARED, comm_rank(comm), MPI_INFO_NULL, &node);
    check(rc, "MPI_Comm_split_type");
    return ours(node);
}

void comm_free(MPI_Comm *comm) { check(MPI_Comm_free(comm), "MPI_Comm_free"); }

/* The share of one pair.  Both ends count the same pieces, so a receive waits for a send that comes. */
static void swap(MPI_Comm comm, float *in, int64_t nin, int from, const float *out, int64_t nout, int to)
{
    for (int64_t at = 0; at < nin || at < nout; at += EXCHANGE_PIECE) {
        const int get = (int)max64(0, min64(nin - at, EXCHANGE_PIECE)), put = (int)max64(0, min64(nout - at, EXCHANGE_PIECE));
        check(MPI_Sendrecv(put ? out + at : NULL, put, MPI_FLOAT, put ? to : MPI_PROC_NULL, 0,
                           get ? in + at : NULL, get, MPI_FLOAT, get ? from : MPI_PROC_NULL, 0, comm, MPI_STATUS_IGNORE),
              "MPI_Sendrecv");
    }
}

static int64_t before(const int64_t *n, int rank)
{
    int64_t sum = 0;
    for (int r = 0; r < rank; r++)
        sum += n[r];
    return sum;
}

/* Not MPI_Alltoallv: its displacements are int.  In round k each rank sends to the k-th after it. */
void comm_exchange_f32(MPI_Comm comm, float *in, const int64_t *nin, const float *out, const int64_t *nout)
{
    const int rank = comm_rank(comm), size = comm_size(comm);
    const Visit v = enter(comm, EXCHANGE);
    sent(v.note, (int64_t)sizeof *out * (before(nout, size) - nout[rank]));
    if (nout[rank] > 0)
        memcpy(in + before(nin, rank), out + before(nout, rank), (size_t)nout[rank] * sizeof *out);
    for (int k = 1; k < size; k++) {
        const int to = (rank + k) % size, from = (rank + size - k) % size;
        swap(comm, in + before(nin, from), nin[from], from, out + before(nout, to), nout[to], to);
    }
    leave_counted(v, 0);
}
