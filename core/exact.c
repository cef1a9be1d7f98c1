#include "core/exact.h"

#include <math.h>
#include <string.h>

enum { LOST = EXACT_WORDS - 1, BITS = 32 };

void exact_add(Exact *s, double x)
{
    int exponent;
    if (x == 0)
        return;
    const double fraction = frexp(x, &exponent);                   /* x = fraction 2^exponent, 1/2 <= |fraction| < 1 */
    int at = exponent - 53 + EXACT_LOW;                            /* the bit where the last of 53 bits belongs */
    if (!isfinite(x) || at > BITS * (EXACT_DIGITS - 2)) {
        s->word[LOST]++;
        return;
    }
    uint64_t whole = (uint64_t)ldexp(fabs(fraction), 53);
    if (at < 0) {
        whole = at > -64 ? whole >> -at : 0;
        at = 0;
    }
    unsigned __int128 bits = (unsigned __int128)whole << at % BITS;
    for (int64_t *w = s->word + at / BITS; bits; bits >>= BITS, w++)
        *w += x < 0 ? -(int64_t)(bits & UINT32_MAX) : (int64_t)(bits & UINT32_MAX);
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
