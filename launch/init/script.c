#include "launch/init/script.h"

#include <utf8proc.h>

static const char *const NAMES[SCRIPTS] = {
    "Latin", "Greek", "Cyrillic", "Armenian", "Hebrew", "Arabic", "Devanagari", "Bengali", "Gurmukhi", "Gujarati", "Tamil", "Telugu", "Kannada",
    "Malayalam", "Thai", "Georgian", "Ethiopic", "Khmer", "Hangul", "Kana", "Han", "other scripts",
};

static const struct { int32_t first, last; int script; } BLOCKS[] = {
    { 0x0041, 0x024f, 0 },    { 0x0250, 0x02af, 0 },    { 0x0370, 0x03ff, 1 },    { 0x0400, 0x052f, 2 },    { 0x0530, 0x058f, 3 },
    { 0x0590, 0x05ff, 4 },    { 0x0600, 0x06ff, 5 },    { 0x0750, 0x077f, 5 },    { 0x08a0, 0x08ff, 5 },    { 0x0900, 0x097f, 6 },
    { 0x0980, 0x09ff, 7 },    { 0x0a00, 0x0a7f, 8 },    { 0x0a80, 0x0aff, 9 },    { 0x0b80, 0x0bff, 10 },   { 0x0c00, 0x0c7f, 11 },
    { 0x0c80, 0x0cff, 12 },   { 0x0d00, 0x0d7f, 13 },   { 0x0e00, 0x0e7f, 14 },   { 0x10a0, 0x10ff, 15 },   { 0x1100, 0x11ff, 18 },
    { 0x1200, 0x139f, 16 },   { 0x1780, 0x17ff, 17 },   { 0x1c80, 0x1c8f, 2 },    { 0x1e00, 0x1eff, 0 },    { 0x1f00, 0x1fff, 1 },
    { 0x2e80, 0x2fdf, 20 },   { 0x3040, 0x30ff, 19 },   { 0x3130, 0x318f, 18 },   { 0x31f0, 0x31ff, 19 },   { 0x3400, 0x4dbf, 20 },
    { 0x4e00, 0x9fff, 20 },   { 0xac00, 0xd7ff, 18 },   { 0xf900, 0xfaff, 20 },   { 0xfb50, 0xfdff, 5 },    { 0xfe70, 0xfeff, 5 },
    { 0xff21, 0xff5a, 0 },    { 0xff66, 0xff9f, 19 },   { 0x20000, 0x323af, 20 },
};

const char *script_name(int script) { return NAMES[script]; }

static int script_of(int32_t c)
{
    for (size_t i = 0; i < sizeof BLOCKS / sizeof *BLOCKS && BLOCKS[i].first <= c; i++)
        if (c <= BLOCKS[i].last)
            return BLOCKS[i].script;
    return SCRIPT_OTHER;
}

int64_t script_count(ScriptCount *x, const char *text, size_t n)
{
    int64_t chars = 0;
    for (size_t at = 0; at < n; chars++) {
        utf8proc_int32_t c;
        const utf8proc_ssize_t bytes = utf8proc_iterate((const utf8proc_uint8_t *)text + at, (utf8proc_ssize_t)(n - at), &c);
        if (bytes <= 0) {                       /* no UTF-8: a byte, of no script */
            at++;
            continue;
        }
        at += (size_t)bytes;
        x->distinct += !(x->seen[c >> 3] >> (c & 7) & 1);
        x->seen[c >> 3] |= (uint8_t)(1u << (c & 7));
        const utf8proc_category_t kind = utf8proc_category(c);
        if (kind >= UTF8PROC_CATEGORY_LU && kind <= UTF8PROC_CATEGORY_LO) {
            x->letters++;
            x->of[script_of(c)]++;
        }
    }
    x->chars += chars;
    return chars;
}
