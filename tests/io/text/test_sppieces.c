/* What is in a SentencePiece model, told by itself: as many pieces as ids, each found by its own words; cut anywhere it is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/base/files.h"
#include "io/text/sppieces.h"
#include "io/text/text.h"

static char folder[64], path[128];

static int train(void **state)
{
    char corpus[128];
    Err e = { 0 };
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/asvr-pieces-%d", (int)getpid());
    snprintf(path, sizeof path, "%s/text.model", folder);
    snprintf(corpus, sizeof corpus, "%s/corpus", folder);
    static const char TEXT[] = "the cat sat on the mat and the other cat sat on the other mat\nwhere is the cat, and where is the other?\n";
    return dir_make(folder, &e) && file_replace(corpus, TEXT, sizeof TEXT - 1, &e) && text_train(corpus, 300, "<|im_start|>,<|im_end|>", path, &e) ? 0 : -1;
}

static int sweep(void **state)
{
    Err e = { 0 };
    (void)state;
    return dir_remove(folder, &e) ? 0 : -1;
}

static void pieces_are_the_ids(void **state)
{
    SpPieces s;
    Err e = { 0 };
    int bytes = 0, words = 0;
    (void)state;
    Text *t = text_open(path, &e);
    assert_non_null(t);
    assert_true(sppieces_open(&s, path, &e));
    assert_int_equal(s.pieces, text_size(t));
    assert_int_equal(s.hash, text_hash(t));
    assert_int_equal(s.kind, SP_BPE);
    assert_true(s.bytes && s.prefix && s.plain && !s.collapse);
    for (int i = 0; i < s.pieces; i++) {
        char word[64];
        snprintf(word, sizeof word, "%.*s", s.piece[i].size, s.piece[i].text);
        assert_int_equal(s.piece[i].kind == SP_UNKNOWN ? i : text_symbol(t, word), i);
        bytes += s.piece[i].kind == SP_BYTE;
        words += s.piece[i].kind == SP_NORMAL;
    }
    assert_int_equal(s.piece[0].kind, SP_UNKNOWN);
    assert_int_equal(s.piece[text_bos(t)].kind, SP_CONTROL);
    assert_int_equal(s.piece[text_symbol(t, "<|im_end|>")].kind, SP_CONTROL);
    assert_int_equal(bytes, 256);
    assert_int_equal(bytes + words + 5, s.pieces);
    sppieces_close(&s);
    text_close(t);
}

static void cut_models_are_refused_or_shorter(void **state)
{
    char *model;
    size_t n;
    SpPieces s;
    Err e = { 0 };
    int refused = 0;
    (void)state;
    assert_true(file_read(path, 1 << 20, &model, &n, &e));
    for (size_t cut = 0; cut < n; cut += 7) {
        e = (Err){ 0 };
        if (!sppieces_read(&s, model, cut, path, &e)) {
            assert_int_equal(e.code, EXIT_DATA);
            refused++;
        }
        sppieces_close(&s);
    }
    assert_in_range(refused, 1, n);
    free(model);
}

int main(void)
{
    const struct CMUnitTest list[] = { cmocka_unit_test(pieces_are_the_ids), cmocka_unit_test(cut_models_are_refused_or_shorter) };
    return cmocka_run_group_tests(list, train, sweep);
}
