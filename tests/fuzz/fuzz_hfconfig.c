/*
 * fuzz_hfconfig.c -- any bytes as the config.json of a Hugging Face folder
 *
 * Laws   refused: EXIT_DATA at the file
 *        accepted: every difference names a key of theirs and both values, fit for a terminal; one of an unknown key has none of ours
 *        a key more that nobody knows is a difference more, and is said to be unknown
 */
#include "io/hf/hfconfig.h"
#include "tests/fuzz/fuzz.h"

static double number(const void *config, const char *key)
{
    (void)config;
    return strstr(key, "heads") ? 4 : strstr(key, "width") ? 64 : strstr(key, "select_layer") ? -2 : 1;
}

static int compare(const char *text, size_t n, HfDifference d[HF_DIFFERENCES])
{
    Err e = { 0 };
    const int found = hfconfig_compare(text, n, "config.json", number, NULL, d, &e);
    LAW(found <= HF_DIFFERENCES, "%d differences", found);
    if (found < 0)
        fuzz_refused(&e, EXIT_DATA, "config.json");
    else
        LAW(!e.code, "accepted with the error %s", e.what);
    return found;
}

/* One key more behind the last. */
static void one_more(const char *text, size_t size, int was)
{
    static const char more[] = ", \"no library has this key\": 1}";
    HfDifference d[HF_DIFFERENCES];
    size_t n = size;
    while (n && text[n - 1] != '}')
        n--;
    if (!n || was == HF_DIFFERENCES)
        return;
    char *longer = malloc(n + sizeof more);
    CHECK(longer, "no memory for a text");
    memcpy(longer, text, n - 1);
    memcpy(longer + n - 1, more, sizeof more);
    const int found = compare(longer, strlen(longer), d);
    int unknown = 0;
    for (int i = 0; i < found; i++)
        unknown += d[i].unknown && !strcmp(d[i].theirs, "no library has this key");
    LAW(found < 0 || (found == was + 1 && unknown == 1), "%d differences, then %d", was, found);     /* refused: the key is there twice */
    free(longer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    HfDifference d[HF_DIFFERENCES];
    const char *text = (const char *)data;
    const int n = compare(text, size, d);
    for (int i = 0; i < n; i++) {
        LAW((d[i].theirs[0] || d[i].unknown) && d[i].expected[0], "a difference without a name");
        LAW(!strpbrk(d[i].theirs, "\033\n\t") && !strpbrk(d[i].got, "\033\n\t"), "a terminal's codes in %s", d[i].theirs);
        LAW(!d[i].unknown || !d[i].ours[0], "an unknown key is %s", d[i].ours);
    }
    if (n >= 0 && !memchr(data, 0, size))
        one_more(text, size, n);
    hfconfig_says_tied(text, size);
    return 0;
}
