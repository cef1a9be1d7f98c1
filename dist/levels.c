#include "dist/levels.h"

/* So many meet at once: with buckets of 2 MiB their pieces have 128 KiB. */
enum { FEW = 16 };

static int twos(int n) { return n & -n; }

static void add(Levels *v, int size)
{
    if (size > 1)
        v->size[v->n++] = size;
}

/* The factor with more twos first: what its groups add up is fewer nodes of the tree. */
static void divide(Levels *v, int n)
{
    int a = 1;
    for (int k = 2; (int64_t)k * k <= n && n > FEW; k++)
        a = n % k ? a : k;
    const int b = n / a;
    add(v, twos(a) > twos(b) ? a : b);
    add(v, twos(a) > twos(b) ? b : a);
}

Levels levels_of(int replicas, int near)
{
    Levels v = { .replicas = replicas };
    ASSERT(replicas % near == 0);
    divide(&v, near);
    divide(&v, replicas / near);
    return v;
}

Levels levels_one(int replicas)
{
    Levels v = { .replicas = replicas };
    add(&v, replicas);
    return v;
}

int levels_messages(const Levels *v)
{
    int n = 0;
    for (int i = 0; i < v->n; i++)
        n += v->size[i] - 1;
    return n;
}

int levels_owner(const Levels *v, int place)
{
    int owner = 0;
    for (int i = v->n - 1; i >= 0; place /= v->size[i--])
        owner = owner * v->size[i] + place % v->size[i];
    return owner;
}

Level levels_at(const Levels *v, int level, int r)
{
    Level l = { .stride = 1, .run = v->replicas };
    for (int i = 0; i <= level; i++) {
        l.first += l.member * l.run;
        l.stride *= i ? l.size : 1;
        l.size = v->size[i];
        l.member = r / l.stride % l.size;
        l.run /= l.size;
    }
    l.block = r / (l.stride * l.size) * l.size;
    l.group = r % l.stride + l.stride * (l.block / l.size);
    return l;
}
