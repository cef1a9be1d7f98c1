/* jsonok.c -- ends with 0 if each file is JSON: a whole one, or one a line (.jsonl).  Compiled by the scripts that ask. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

static int bad(const char *path, const json_error_t *e)
{
    fprintf(stderr, "%s:%d: %s\n", path, e->line, e->text);
    return 1;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const size_t n = strlen(argv[i]);
        const int lines = n > 6 && !strcmp(argv[i] + n - 6, ".jsonl");
        char line[1 << 16];
        json_error_t e;
        FILE *f = fopen(argv[i], "r");
        if (!f)
            return perror(argv[i]), 1;
        if (!lines && !json_loadf(f, JSON_REJECT_DUPLICATES, &e))
            return bad(argv[i], &e);
        while (lines && fgets(line, sizeof line, f))
            if (!json_loads(line, JSON_REJECT_DUPLICATES, &e))
                return bad(argv[i], &e);
        fclose(f);
    }
    return 0;
}
