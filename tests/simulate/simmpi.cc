/* simmpi.cc -- between dist/ and SMPI: owed time is spent before a message, tensors cross without being copied
 *
 * Each function stands in front of SMPI's and hands on to it (PMPI_).  What SMPI would do otherwise than a cluster:
 *   sums of tensors     SMPI would add real numbers: the traffic is its own, the additions are owed here
 *   MPI_Iallreduce      SMPI sends all to all, R - 1 times the bytes: a sum in its place, at once, of the algorithm that Open MPI
 *                       takes for one that blocks.  So the fast reduction hides nothing here
 *   messages            what the processor spends on each, at both ends, in series (Meter.overhead)
 */
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <map>
#include <memory>
#include <numeric>
#include <string>
#include <tuple>
#include <vector>

#include <mpi.h>
#include <simgrid/s4u.hpp>

extern "C" {
#include "tests/simulate/meter.h"
}

/* In SimGrid 3.32's library, not in its headers. */
namespace simgrid::smpi {
class ActorExt {
public:
    static simgrid::xbt::Extension<simgrid::s4u::Actor, ActorExt> EXTENSION_ID;
    void set_replaying(bool);
};
}
void smpi_comm_copy_buffer_callback(simgrid::kernel::activity::CommImpl *, void *, size_t);

static bool is_tensor(const void *p) { return (uintptr_t)p >= TENSORS_FROM && (uintptr_t)p < TENSORS_TO; }

static void copied(smx_activity_t comm, void *from, size_t bytes)
{
    if (!is_tensor(from))
        smpi_comm_copy_buffer_callback(reinterpret_cast<simgrid::kernel::activity::CommImpl *>(comm), from, bytes);
}

static void spend(void)
{
    if (meter.owed <= 0)
        return;
    meter.spent += meter.owed;
    smpi_execute_flops(meter.owed * meter.rate);
    meter.owed = 0;
}

static void send_all(void);

extern "C" void meter_spend(void)
{
    spend();
    send_all();
}

/* While one lives, SMPI's calls of this rank move and add up no bytes, as when it replays a trace. */
struct Lengths {
    Lengths() { self()->set_replaying(true); }
    ~Lengths() { self()->set_replaying(false); }
    static simgrid::smpi::ActorExt *self() { return simgrid::s4u::Actor::self()->extension<simgrid::smpi::ActorExt>(); }
};

/* Communicators in the order of their first use, which is the same on all ranks; the transfers on each so far; and how many of its ranks, neighbours
   in it, lie on one node.  They live as long as the program. */
struct Seen { MPI_Comm comm; int64_t transfers; std::vector<int> world; int each; };
static std::vector<Seen> seen;

/* SMPI's own takes a while, and comm.c asks for each of a bucket's pieces. */
static int size_of(MPI_Comm comm)
{
    int n;
    for (const Seen &s : seen)
        if (s.comm == comm)
            return (int)s.world.size();
    PMPI_Comm_size(comm, &n);
    return n;
}

static int rank_of(MPI_Comm comm)
{
    int r;
    PMPI_Comm_rank(comm, &r);
    return r;
}

static int sum(const void *, void *x, int n, MPI_Datatype type, MPI_Op how, MPI_Comm comm)
{
    const int ranks = size_of(comm);
    owe_floats(3.0 * n * (ranks - 1) / ranks);
    meter_spend();
    Lengths only;
    return PMPI_Allreduce((char *)x + 1, x, n, type, how, comm);     /* in place, SMPI would make room for a copy */
}

/* ---- many messages as one ----

   Where all ranks send all others the same (Meter.bundle), a rank's messages to other nodes may go to one of them together: each
   node's link carries the same bytes in and out at the same time, and a fabric that never blocks has no other place to wait.  That is the
   one half the nodes away, which sends to this one: an exchange lets nobody go on before all others are there, and in a ring each would
   wait for its neighbour alone.  Messages to ranks of its own node go together to the next of these.  Latency counts once, as it does where messages are under way at the
   same time; what processors spend on each is spent on each.

   Exchanges of one communicator wait for each other, Meter.bundle at most, until their rank spends time elsewhere or waits: hundreds of
   buckets under way would be as many transfers that share a link, and sharing is computed anew for all of them whenever one starts or ends.

   They go past MPI, as transfers between hosts: SimGrid 3.32 keeps a request that was tested, not waited for, in a list that each
   further one walks through. */

using Transfer = simgrid::s4u::CommPtr;
typedef std::tuple<int, int64_t, int, bool> Name;              /* communicator, how many before it there, sender in the world, near */
struct Registry {
    std::map<Name, Transfer> sent;
    std::map<Name, simgrid::s4u::SemaphorePtr> awaited;         /* by who is to have it, before its sender has got there */
};

/* One for all ranks, whose variables SMPI keeps apart: the environment alone is common. */
static Registry *registry()
{
    static Registry *r;
    char text[32];
    const char *at = r ? nullptr : getenv("SIMULATE_REGISTRY");
    if (at)
        r = reinterpret_cast<Registry *>(strtoull(at, nullptr, 16));
    if (!r) {
        r = new Registry;
        snprintf(text, sizeof text, "%llx", (unsigned long long)reinterpret_cast<uintptr_t>(r));
        setenv("SIMULATE_REGISTRY", text, 1);
    }
    return r;
}

/* On its way, or waiting for more of its communicator that go the same way. */
struct Sending { int at, to; bool near; int64_t floats; std::vector<Name> of; Transfer transfer; };
struct Bundle { MPI_Request key; std::vector<std::shared_ptr<Sending>> mine; std::vector<Name> theirs; };
static std::vector<Bundle> bundles;
static std::vector<std::shared_ptr<Sending>> waiting;

static int node_of(int world) { return world / meter.node; }

static int seen_at(MPI_Comm comm)
{
    for (size_t i = 0; i < seen.size(); i++)
        if (seen[i].comm == comm)
            return (int)i;
    Seen s = { comm, 0, std::vector<int>((size_t)size_of(comm)), 0 };
    std::vector<int> here(s.world.size());
    MPI_Group group, world;
    std::iota(here.begin(), here.end(), 0);
    PMPI_Comm_group(comm, &group);
    PMPI_Comm_group(MPI_COMM_WORLD, &world);
    PMPI_Group_translate_ranks(group, (int)here.size(), here.data(), world, s.world.data());
    s.each = (int)std::count_if(s.world.begin(), s.world.end(), [&](int w) { return node_of(w) == node_of(s.world[0]); });
    seen.push_back(s);
    return (int)seen.size() - 1;
}

/* Of replicas, not of one's ranks, which are neighbours in the world. */
static bool is_dp(MPI_Comm comm)
{
    const Seen &s = seen[(size_t)seen_at(comm)];
    return s.world.size() < 2 || (s.world[1] - s.world[0]) % meter.tp == 0;
}

static void send(Sending *s)
{
    auto *host = simgrid::s4u::Host::by_name("n" + std::to_string(node_of(seen[(size_t)s->at].world[(size_t)s->to])));
    s->transfer = simgrid::s4u::Comm::sendto_async(simgrid::s4u::this_actor::get_host(), host, (uint64_t)s->floats * 4);
    for (const Name &name : s->of) {
        registry()->sent[name] = s->transfer;
        auto waits = registry()->awaited.find(name);
        if (waits != registry()->awaited.end()) {
            const auto turn = waits->second;
            turn->release();
        }
    }
}

static void send_all(void)
{
    while (!waiting.empty()) {
        const auto s = waiting.front();
        waiting.erase(waiting.begin());
        send(s.get());
    }
}

/* A message by itself, between two, needs no company; but tested, not waited for, SMPI would keep it (above). */
static bool is_bundled(MPI_Comm comm) { return meter.bundle && (is_dp(comm) || size_of(comm) == 2); }

/* Of no floats, too: where shares are empty, one rank has nothing to send and yet something to take. */
static void send_bundle(Bundle *b, int at, int to, int from, int64_t floats, bool near)
{
    const Seen &s = seen[(size_t)at];
    if (to == rank_of(s.comm))
        return;
    auto same = std::find_if(waiting.begin(), waiting.end(), [&](const auto &w) { return w->at == at && w->near == near; });
    if (same == waiting.end())
        same = waiting.insert(same, std::make_shared<Sending>(Sending{ at, to, near, 0, {}, nullptr }));
    const auto w = *same;
    w->floats += floats;
    w->of.push_back(Name(at, s.transfers, s.world[(size_t)rank_of(s.comm)], near));
    b->mine.push_back(w);
    b->theirs.push_back(Name(at, s.transfers, s.world[(size_t)from], near));
    if ((int)w->of.size() >= (is_dp(s.comm) ? meter.bundle : 1)) {
        waiting.erase(same);
        send(w.get());
    }
}

/* near, far: floats that this rank sends to its own node and to others; as many come. */
static int start_bundle(MPI_Comm comm, int64_t near, int64_t far, MPI_Request *request)
{
    static uintptr_t key = TENSORS_FROM;
    const int at = seen_at(comm), ranks = size_of(comm), q = seen[(size_t)at].each, r = rank_of(comm), first = r / q * q;
    Bundle b = {};
    const int shift = std::max(1, ranks / q / 2) * q;
    if (ranks > q)
        send_bundle(&b, at, (r + shift) % ranks, (r + ranks - shift) % ranks, far, false);
    send_bundle(&b, at, first + (r - first + 1) % q, first + (r - first + q - 1) % q, near, true);
    seen[(size_t)at].transfers++;
    *request = b.key = reinterpret_cast<MPI_Request>(key++);
    bundles.push_back(b);
    return MPI_SUCCESS;
}

static bool arrived(const Name &n)
{
    auto t = registry()->sent.find(n);
    return t != registry()->sent.end() && t->second->test();
}

static bool ended(const Bundle &b)
{
    return std::all_of(b.mine.begin(), b.mine.end(), [](const auto &s) { return s->transfer && s->transfer->test(); }) &&
           std::all_of(b.theirs.begin(), b.theirs.end(), arrived);
}

static void wait_for(const Bundle &b)
{
    for (const auto &s : b.mine)
        s->transfer->wait();
    for (const Name &n : b.theirs) {
        if (registry()->sent.find(n) == registry()->sent.end()) {
            const auto turn = registry()->awaited[n] = simgrid::s4u::Semaphore::create(0);
            turn->acquire();
            registry()->awaited.erase(n);
        }
        registry()->sent[n]->wait();
    }
}

/* Has it ended?  wait: until it has.  False if this is no bundle. */
static bool end_bundle(MPI_Request *request, bool wait, int *flag)
{
    for (size_t i = 0; i < bundles.size(); i++) {
        if (bundles[i].key != *request)
            continue;
        if (wait)
            wait_for(bundles[i]);
        *flag = wait || ended(bundles[i]);
        if (*flag) {
            for (const Name &n : bundles[i].theirs)
                registry()->sent.erase(n);
            bundles.erase(bundles.begin() + (long)i);
            *request = MPI_REQUEST_NULL;
        }
        return true;
    }
    return false;
}

/* ---- in front of SMPI ---- */

static int messages(const int *count, MPI_Comm comm)
{
    return (int)std::count_if(count, count + size_of(comm), [](int n) { return n > 0; });
}

/* What goes to ranks of this rank's node, and to all others. */
static int64_t of_node(const int *count, MPI_Comm comm)
{
    const int each = seen[(size_t)seen_at(comm)].each;
    const int *first = count + rank_of(comm) / each * each;
    return std::accumulate(first, first + each, (int64_t)0) - count[rank_of(comm)];
}

static int64_t of_others(const int *count, MPI_Comm comm)
{
    return std::accumulate(count, count + size_of(comm), (int64_t)0) - count[rank_of(comm)] - of_node(count, comm);
}

static void spend_on(MPI_Comm comm, int sent, int received)
{
    meter.messages += is_dp(comm) ? sent : 0;
    meter.owed += meter.overhead * (sent + received);
    meter.posting += meter.overhead * (sent + received);
    spend();
}

extern "C" {

/* What smpicc makes of clock_gettime: simulated time.  SMPI's own looks at this machine's clocks as well. */
int smpi_clock_gettime(clockid_t, struct timespec *t)
{
    const double now = simgrid_get_clock();
    t->tv_sec = (time_t)now;
    t->tv_nsec = (long)(1e9 * (now - (double)t->tv_sec));
    return 0;
}

int MPI_Comm_size(MPI_Comm comm, int *n)
{
    *n = size_of(comm);
    return MPI_SUCCESS;
}

int MPI_Init(int *argc, char ***argv)
{
    const int rc = PMPI_Init(argc, argv);
    smpi_comm_set_copy_data_callback(copied);
    return rc;
}

int MPI_Allreduce(const void *in, void *out, int n, MPI_Datatype type, MPI_Op how, MPI_Comm comm)
{
    if (is_tensor(out))
        return sum(in, out, n, type, how, comm);
    meter_spend();
    return PMPI_Allreduce(in, out, n, type, how, comm);
}

int MPI_Iallreduce(const void *in, void *out, int n, MPI_Datatype type, MPI_Op how, MPI_Comm comm, MPI_Request *request)
{
    *request = MPI_REQUEST_NULL;
    return MPI_Allreduce(in, out, n, type, how, comm);
}

int MPI_Ialltoallv(const void *in, const int *to, const int *to_at, MPI_Datatype in_type, void *out, const int *from,
                   const int *from_at, MPI_Datatype out_type, MPI_Comm comm, MPI_Request *request)
{
    spend_on(comm, messages(to, comm), messages(from, comm));
    Lengths only;
    if (is_bundled(comm))
        return start_bundle(comm, of_node(to, comm), of_others(to, comm), request);
    return PMPI_Ialltoallv(in, to, to_at, in_type, out, from, from_at, out_type, comm, request);
}

int MPI_Iallgatherv(const void *in, int n, MPI_Datatype in_type, void *out, const int *count, const int *at,
                    MPI_Datatype out_type, MPI_Comm comm, MPI_Request *request)
{
    const int others = size_of(comm) - 1;
    spend_on(comm, others, others);
    Lengths only;
    if (is_bundled(comm)) {
        const int64_t mine = count[rank_of(comm)], each = seen[(size_t)seen_at(comm)].each;
        return start_bundle(comm, mine * (each - 1), mine * (others + 1 - each), request);
    }
    return PMPI_Iallgatherv(in, n, in_type, out, count, at, out_type, comm, request);
}

int MPI_Wait(MPI_Request *request, MPI_Status *status)
{
    int flag;
    meter_spend();
    return end_bundle(request, true, &flag) ? MPI_SUCCESS : PMPI_Wait(request, status);
}

int MPI_Test(MPI_Request *request, int *flag, MPI_Status *status)
{
    spend();
    return end_bundle(request, false, flag) ? MPI_SUCCESS : PMPI_Test(request, flag, status);
}

}
