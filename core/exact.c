#include "core/exact.h"

#include <math.h>
#include <string.h>

enum { LOST = EXACT_WORDS - 1, BITS = 32 };

void exact_add(Exact *s, double x)
{
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    const int exponent = (int)(u >> 52 & 0x7ff);                   /* |x| = whole 2^(exponent - 1075), but for what is too small to count */
    uint64_t whole = (u & ((UINT64_C(1) << 52) - 1)) | UINT64_C(1) << 52;
    int at = exponent - 1075 + EXACT_LOW;                          /* the bit where the last of 53 bits belongs */
    if (exponent == 0)
        return;
    if (exponent == 0x7ff || at > BITS * (EXACT_DIGITS - 2)) {
        s->word[LOST]++;
        return;
    }
    if (at < 0) {
        whole = at > -64 ? whole >> -at : 0;
        at = 0;
    }
    unsigned __int128 bits = (unsigned __int128)whole << at % BITS;
    for (int64_t *w = s->word + at / BITS; bits; bits >>= BITS, w++)
        *w += x < 0 ? -(int64_t)(bits & UINT32_MAX) : (int64_t)(bits & UINT32_MAX);
}

/* Sums of parts join to the same sum: each thread has its own. */
void exact_add_all(Exact *s, const double *x, int64_t n)
{
    enum { WORTH = 4096 };
#pragma omp parallel if (n >= WORTH)
    {
        Exact part = { 0 };
#pragma omp for nowait
        for (int64_t i = 0; i < n; i++)
            exact_add(&part, x[i]);
#pragma omp critical
        for (int i = 0; i < EXACT_WORDS; i++)
            s->word[i] += part.word[i];
    }
}

/* Every digit but the last into [0, 2^32), what is over into the next. */
static void carry(int64_t digit[EXACT_DIGITS + 1])
{
    for (int i = 0; i < EXACT_DIGITS; i++) {
        const int64_t over = digit[i] >> BITS;
        digit[i] -= over * ((int64_t)1 << BITS);
        digit[i + 1] += over;
    }
}

double exact_value(const Exact *s)
{
    int64_t digit[EXACT_DIGITS + 1];
    memcpy(digit, s->word, sizeof digit);
    if (s->word[LOST])
        return NAN;
    carry(digit);
    const bool negative = digit[EXACT_DIGITS] < 0;
    for (int i = 0; negative && i <= EXACT_DIGITS; i++)
        digit[i] = -digit[i];
    carry(digit);
    int top = EXACT_DIGITS;
    while (top > 2 && digit[top] == 0)
        top--;
    /* Three digits hold at least 65 bits; a last bit stands for all that is below, so that the rounding is right. */
    unsigned __int128 bits = 0;
    for (int i = top; i > top - 3; i--)
        bits = bits << BITS | (uint64_t)digit[i];
    for (int i = top - 3; i >= 0; i--)
        bits |= digit[i] != 0;
    const double size = ldexp((double)bits, BITS * (top - 2) - EXACT_LOW);
    return negative ? -size : size;
}
