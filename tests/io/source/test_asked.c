/* What records say about right answers (asked.h), one table: "Q last question | A its answer | R right ... | C letters | T task", or what is wrong. */
#include "tests/io/source/source_case.h"

#include "io/source/llava.h"

#define OPTIONS "A. cat\nB. dog\nAnswer with the option's letter from the given choices directly."
#define TALK(q, a) "\"conversations\": [{\"from\": \"human\", \"value\": \"x\"}, {\"from\": \"gpt\", \"value\": \"y\"}, {\"from\": \"human\", \"value\": \"" q "\"}" a "]"
#define GPT(a) ", {\"from\": \"gpt\", \"value\": \"" a "\"}"
#define CATDOG "\"choices\": [\"cat\", \" dog \"]"

static const struct { const char *record, *read; } cases[] = {
    { "{\"question\": \"q\", \"answer\": \"a\"}", "Q q|A a|R a|T questions" },
    { "{\"question\": \"q\", \"answer\": [\"a\", 2, \"\", \"a\"], \"task\": \" count \"}", "Q q|A a|R a|R 2|T count" },
    { "{\"question\": \"q\", \"answer\": \"dog\", " CATDOG "}", "Q q\n" OPTIONS "|A B|R B|C AB|T questions" },
    { "{\"question\": \"q\", \"answer\": \"b\", \"choices\": {\"A\": \"cat\", \"B\": \"dog\"}}", "Q q\n" OPTIONS "|A B|R B|C AB|T questions" },
    { "{\"question\": \"q\", \"answer\": [\"A\", \"DOG\"], " CATDOG "}", "Q q\n" OPTIONS "|A A|R A|R B|C AB|T questions" },
    { "{\"question\": \"q\", \"answer\": 4, \"choices\": [3, 4]}",
      "Q q\nA. 3\nB. 4\nAnswer with the option's letter from the given choices directly.|A B|R B|C AB|T questions" },
    { "{\"question\": \"A. cat\\nB. dog\\nwhich?\", \"answer\": \"A\", " CATDOG "}", "Q A. cat\nB. dog\nwhich?|A A|R A|C AB|T questions" },
    { "{\"question\": \"(A) cat (B) dog?\", \"answer\": \"A\", " CATDOG "}", "Q (A) cat (B) dog?|A A|R A|C AB|T questions" },
    { "{\"question\": \"A. cat or dog?\", \"answer\": \"A\", " CATDOG "}", "Q A. cat or dog?\n" OPTIONS "|A A|R A|C AB|T questions" },
    /* pictures at the end of a question stay there; one of pictures alone has the choices behind them */
    { "{\"image\": \"a.png\", \"question\": \"q\\n<image>\", \"answer\": \"A\", " CATDOG "}", "Q q\n" OPTIONS "\n<image>|A A|R A|C AB|T questions" },
    { "{\"image\": \"a.png\", \"question\": \"<image>\", \"answer\": \"A\", " CATDOG "}", "Q <image>\n" OPTIONS "|A A|R A|C AB|T questions" },
    /* of several turns the last question */
    { "{" TALK("q", "") ", \"answer\": \"a\"}", "Q q|A a|R a|T questions" },
    { "{" TALK("q", GPT("it is a")) ", \"answer\": \"a\"}", "Q q|A it is a|R a|T questions" },
    { "{" TALK("q", GPT("cat")) ", \"answer\": \"cat\", " CATDOG "}", "Q q\n" OPTIONS "|A A|R A|C AB|T questions" },
    /* nothing is asked */
    { "{" TALK("q", GPT("b")) ", \"answer\": \"\", \"choices\": 3, \"task\": \"t\"}", "Q q|A b|T t" },
    { "{" TALK("q", GPT("b")) ", \"answer\": null, \"choices\": [\"cat\"], \"task\": [1, 2]}", "Q q|A b" },
    { "{\"image\": \"a.png\", \"caption\": \"c\", \"answer\": \"a\"}", "Q |A c" },
    /* broken */
    { "{\"question\": \"q\", \"answer\": true}", "! \"answer\" is no text" },
    { "{\"question\": \"q\", \"answer\": [[\"a\"]]}", "! \"answer\" is no text" },
    { "{\"question\": \"q\", \"answer\": [\"\"]}", "! a list without a text" },
    { "{\"question\": \"q\", \"answer\": \"fish\", " CATDOG "}", "! not among the choices" },
    { "{\"question\": \"q\", \"answer\": 1, " CATDOG "}", "! not among the choices" },
    { "{\"question\": \"q\", \"answer\": \"C\", " CATDOG "}", "! not among the choices" },
    { "{\"question\": \"q\", \"answer\": \"cat\", \"choices\": [\"cat\", \"Cat\"]}", "! the text of 2 choices" },
    { "{\"question\": \"q\", \"answer\": \"cat\", \"choices\": [\"cat\"]}", "! one entry" },
    { "{\"question\": \"q\", \"answer\": \"cat\", \"choices\": [\"cat\", null]}", "! an entry that is no text" },
    { "{\"question\": \"q\", \"answer\": \"cat\", \"choices\": \"cat, dog\"}", "! neither" },
    { "{\"question\": \"q\", \"answer\": \"cat\", \"choices\": {\"A\": \"cat\", \"B2\": \"dog\"}}", "! which is no letter" },
    { "{\"question\": \"q\", \"answer\": \"cat\", \"choices\": {\"A\": \"cat\", \"a\": \"dog\"}}", "! the letter A twice" },
    { "{\"question\": \"q\", \"answer\": \"a\", \"task\": \"a,b\"}", "! no name of a task" },
    { "{\"question\": \"q\", \"answer\": \"a\", \"task\": {\"x\": 1}}", "! no name of a task" },
};

static void read_as_text(char *out, size_t room, const LlavaRecord *r)
{
    const Asked *a = r->asked;
    FILE *f = fmemopen(out, room, "w");
    fprintf(f, "Q %s|A %s", r->turns[r->n - 1].human, r->turns[r->n - 1].answer);
    for (int i = 0; i < a->n; i++)
        fprintf(f, "|R %s", a->right[i]);
    if (a->n && a->choices)
        fprintf(f, "|C %.*s", a->choices, a->letter);
    if (a->n || a->task)
        fprintf(f, "|T %s", a->task ? a->task : ASKED_TASK);
    fclose(f);
}

static void each_is_read(void **state)
{
    (void)state;
    static char got[2000];
    write_text("a.png", "x");
    for (int i = 0; i < (int)(sizeof cases / sizeof *cases); i++) {
        Err e = { 0 };
        LlavaRecord r;
        write_text("x.json", cases[i].record);
        Llava *l = llava_open(file("x.json"), dir, true, &e);
        assert_non_null(l);
        if (llava_next(l, &r, &e) == 1)
            read_as_text(got, sizeof got, &r);
        else
            snprintf(got, sizeof got, "! %s", e.what);
        if (cases[i].read[0] == '!' ? got[0] != '!' || !strstr(got, cases[i].read + 2) : strcmp(got, cases[i].read))
            fail_msg("%s\nwant %s\ngot  %s", cases[i].record, cases[i].read, got);
        llava_close(l);
    }
}

/* The first record that says too much. */
static void limits(void **state)
{
    (void)state;
    for (int choices = 0; choices < 2; choices++)
        for (int n = choices ? ASKED_CHOICES : ASKED_RIGHT, more = 0; more < 2; more++) {
            Err e = { 0 };
            LlavaRecord r;
            FILE *f = fopen(file("x.json"), "w");
            fprintf(f, "{\"question\": \"q\", \"answer\": %s", choices ? "\"A\", \"choices\": [" : "[");
            for (int i = 0; i < n + more; i++)
                fprintf(f, "%s\"x%d\"", i ? ", " : "", i);
            fprintf(f, "]}");
            fclose(f);
            Llava *l = llava_open(file("x.json"), NULL, true, &e);
            assert_int_equal(llava_next(l, &r, &e), more ? -1 : 1);
            if (more)
                assert_non_null(strstr(e.what, "more than"));
            llava_close(l);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(each_is_read), cmocka_unit_test(limits) };
    return cmocka_run_group_tests(tests, setup, teardown);
}
