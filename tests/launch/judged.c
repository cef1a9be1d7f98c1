/* judged.c -- for tests/launch/own.sh: each line of standard input is RIGHT|CHOICE=..|SAID with tabs for line breaks; prints the first that is
   judged otherwise than its first letter (+ right, - wrong) says.  Choices are "A=a cat;B=a dog" or nothing, right ones "a;b" */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launch/eval/judge.h"

static int split(char *s, const char *out[26])
{
    int n = 0;
    for (char *save = NULL, *t = strtok_r(s, ";", &save); t && n < 26; t = strtok_r(NULL, ";", &save))
        out[n++] = t;
    return n;
}

int main(void)
{
    char line[1000], shown[1000];
    int n = 0, wrong = 0;
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        char *copy = strdup(line), *right = copy + 1, *choices = strchr(right, '|'), *said = choices ? strchr(choices + 1, '|') : NULL;
        const char *r[26], *c[26];
        char letters[27] = "";
        if (!said)
            return fprintf(stderr, "not a case: %s\n", line), 2;
        *choices++ = *said++ = 0;
        for (char *t = said; *t; t++)
            *t = *t == '\t' ? '\n' : *t;
        const int rights = split(right, r), m = split(choices, c);
        for (int i = 0; i < m; i++)
            letters[i] = c[i][0], c[i] += 2;
        char *key = judge_key(r, rights, letters, c, m);
        judge_show(key, shown, sizeof shown);
        if (judge_right(key, said) != (line[0] == '+') || !shown[0]) {
            printf("%s\n", line);
            wrong++;
        }
        n++;
        free(key);
        free(copy);
    }
    if (!judge_right("red", "red") || judge_right("red", "Red"))
        printf("a plain text is not compared byte by byte\n"), wrong++;
    printf("%d cases, %d wrong\n", n, wrong);
    return wrong != 0;
}
