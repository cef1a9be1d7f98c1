#include "io/bench/base64.h"

static int value(char c)
{
    return c >= 'A' && c <= 'Z' ? c - 'A' : c >= 'a' && c <= 'z' ? c - 'a' + 26 : c >= '0' && c <= '9' ? c - '0' + 52 :
           c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

int64_t base64_decode(uint8_t *out, const char *text, size_t n)
{
    int64_t  made = 0;
    uint32_t held = 0;
    int      bits = 0, ends = 0;
    for (size_t i = 0; i < n; i++) {
        const char c = text[i];
        if (c == ' ' || c == '\n' || c == '\r' || c == '\t')
            continue;
        const int v = value(c);
        if ((v < 0 && c != '=') || (v >= 0 && ends) || (c == '=' && ++ends > 2))
            return -1 - (int64_t)i;
        if (v < 0)
            continue;
        held = held << 6 | (uint32_t)v;
        bits += 6;
        if (bits >= 8)
            out[made++] = (uint8_t)(held >> (bits -= 8));
    }
    return bits == 6 ? -1 - (int64_t)n : made;          /* a single character of a group says nothing */
}
