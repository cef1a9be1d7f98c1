/*
 * The manifest: every flipped bit, every cut and every malformed text is found; and the helpers for files.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xxhash.h>

#include "core/rng.h"
#include "io/base/files.h"
#include "io/ckpt/manifest.h"

static char home[64];

/* ---- the manifest ---- */

static CkptTensor tensor[] = {
    { "weights/decoder.0.attn.wq", 2, { 300, 1000 }, 4096 }, { "weights/logit_scale", 1, { 1 }, 2048 },
    { "m/nothing", 3, { 4, 0, 7 }, 0 },
};
static CkptFile file[] = { { "hf/config.json", 1234, 5 }, { "hf/unused.safetensors", INT64_MAX, UINT64_MAX } };
static uint64_t block[] = { 1, UINT64_MAX };

static Manifest example(void)
{
    return (Manifest){ .meta = { .step = 412, .seed = UINT64_MAX, .config_hash = 1ull << 63, .fingerprint = 3, .dp = 2, .tp = 4, .version = CKPT_VERSION, .init = "0123", .moments = 1ull << 62, .beside = "hf",
                                 .base = "/runs/caf\xc3\xa9/ckpt/step-00000000,/b", .lora_rank = 8, .lora_alpha = 0x1.8p3,
                                 .stage = "instruct", .data = "\"q\" \\ caf\xc3\xa9", .global_batch = 32, .samples = 5000,
                                 .norms = { 2, { 0.1, 0x1.fffffffffffffp-30 } } },
                       .tensor = tensor, .tensors = 3, .bytes = HASH_BLOCK + 200000, .blocks = 2, .block = block, .file = file, .files = 2 };
}

static bool parses(const char *text, size_t n, Manifest *m, Err *e)
{
    /* a copy of just n bytes, so that a sanitizer sees any step past the end */
    char *copy = malloc(n + 1);
    memcpy(copy, text, n);
    copy[n] = 0;
    bool ok = manifest_parse(m, copy, n, "here", e);
    free(copy);
    return ok;
}

/* Whether it is refused, as it must be: with EXIT_DATA, and without the manifest being used. */
static bool refused(const char *text, size_t n)
{
    Manifest m;
    Err e = {0};
    bool ok = parses(text, n, &m, &e);
    manifest_free(&m);
    return !ok && e.code == EXIT_DATA;
}

static void comes_back(void **state)
{
    (void)state;
    Manifest was = example(), is;
    Err e = {0};
    char *text = manifest_text(&was), *again;
    assert_non_null(text);
    assert_true(parses(text, strlen(text), &is, &e));
    assert_memory_equal(&is.meta, &was.meta, sizeof is.meta);
    assert_int_equal(is.tensors, 3);
    assert_memory_equal(is.tensor, tensor, sizeof tensor);
    assert_int_equal(is.bytes, was.bytes);
    assert_int_equal(is.blocks, 2);
    assert_int_equal(is.files, 2);
    assert_memory_equal(is.file, file, sizeof file);
    assert_memory_equal(is.block, block, sizeof block);
    assert_non_null(again = manifest_text(&is));        /* one text for one content */
    assert_string_equal(again, text);
    free(text);
    free(again);
    manifest_free(&is);
    was.meta.data[0] = '\xff';
    assert_null(manifest_text(&was));                   /* not UTF-8 */
}

static void any_bit_and_any_cut_is_found(void **state)
{
    (void)state;
    Manifest m = example();
    char *text = manifest_text(&m);
    size_t n = strlen(text);
    for (size_t i = 0; i < 8 * n; i++) {
        text[i / 8] ^= (char)(1 << i % 8);
        assert_true(refused(text, n));
        text[i / 8] ^= (char)(1 << i % 8);
    }
    for (size_t k = 0; k < n; k++)
        assert_true(refused(text, k));
    text = realloc(text, n + 2);
    text[n] = '\n';
    assert_true(refused(text, n + 1));
    assert_false(refused(text, n));
    free(text);
}

/* Gives the text, its first part replaced, a hash that fits: what is found then is found by the reader itself. */
static char *sealed(const char *text, const char *from, const char *to)
{
    static const char tail[] = ",\n \"hash\": \"0x0123456789abcdef\"\n}\n";
    const char *at = strstr(text, from);
    assert_non_null(at);
    size_t n = strlen(text) - strlen(tail), head = (size_t)(at - text), rest = n - head - strlen(from);
    char *out = malloc(head + strlen(to) + rest + sizeof tail);
    memcpy(out, text, head);
    memcpy(out + head, to, strlen(to));
    memcpy(out + head + strlen(to), at + strlen(from), rest);
    n = head + strlen(to) + rest;
    snprintf(out + n, sizeof tail, ",\n \"hash\": \"0x%016llx\"\n}\n", (unsigned long long)XXH64(out, n, 0));
    return out;
}

static void malformed_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[][2] = {
        { "asvr-checkpoint", "asvr-shard" }, { "\"version\": 3", "\"version\": 0" }, { "\"version\": 3", "\"version\": \"1\"" },
        { "\"step\": 412", "\"step\": -1" }, { "\"step\": 412", "\"step\": 413" }, { "\"step\": 412", "\"stop\": 412" },
        { "\"step\": 412", "\"step\": 9223372036854775807" }, { "\"step\": 412", "\"step\": 9223372036854775808" },
        { "\"step\": 412", "\"step\": 412, \"step\": 412" }, { "\"step\": 412", "\"step\": 412.5" },
        { "\"dp\": 2", "\"dp\": 0" }, { "\"dp\": 2", "\"dp\": 4294967297" },
        { "0xffffffffffffffff", "0xfffffffffffffffg" }, { "0xffffffffffffffff", "0xffffffffffffffffff" },
        { "\"instruct\"", "\"a stage of too long a name\"" }, { "\"instruct\"", "7" },
        { "300", "-300" }, { "300", "4611686018427387904" }, { "300", "30000000" }, { "\"offset\": 4096", "\"offset\": -4" },
        { "\"offset\": 4096", "\"offset\": 9223372036854775807" }, { "\"offset\": 4096", "\"offset\": 1000000" },
        { "\"tensors.h5\"", "\"../../x\"" }, { "\"block\": 1048576", "\"block\": 1" }, { "\"bytes\": 1248576", "\"bytes\": 1048576" },
        { "\"bytes\": 1248576", "\"bytes\": 9223372036854775807" }, { "\"tensors\": [", "\"tensors\": [ [[[[]]]]," },
        { "\"norms\": [", "\"norms\": [ -1.5," }, { "\"norms\": [", "\"norms\": [ \"1\"," }, { "\"norms\": [", "\"norms\": 7, \"x\": [" },
        { "\"files\": [", "\"files\": [ {}," }, { "\"rng\": {", "\"rng\": [], \"x\": {" }, { "{", "[" }, { "weights/", "\\ud800" },
        { "\"moments\": \"0x", "\"moments\": \"" }, { "\"beside\": [", "\"besides\": [" }, { "hf/config.json", "hf/../config.json" },
        { "hf/config.json", "../config.json" }, { "hf/config.json", "/etc/passwd" }, { "hf/config.json", "hf/.hidden" },
        { "hf/config.json", "other/config.json" }, { "hf/config.json", "hf/z.json" }, { "hf/config.json", "hf" },
        { "\"offset\": 4096", "\"offset\": 4098" }, { "\"rank\": 8", "\"rank\": 0" }, { "\"alpha\": 12.0", "\"alpha\": -1" }, { "\"alpha\": 12.0", "\"beta\": 12.0" },
        { "\"base\": \"", "\"base\": 7, \"x\": \"" }, { "\"lora\": {", "\"lora\": 7, \"x\": {" },
    };
    Manifest m = example();
    char *text = manifest_text(&m);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char *bad = sealed(text, wrong[i][0], wrong[i][1]);
        if (!refused(bad, strlen(bad)))
            fail_msg("accepted: %s -> %s", wrong[i][0], wrong[i][1]);
        free(bad);
    }
    char *same = sealed(text, "412", "412");
    assert_false(refused(same, strlen(same)));
    free(same);
    char *newer = sealed(text, "\"version\": 3", "\"version\": 4");
    Err e = {0};
    assert_false(parses(newer, strlen(newer), &m, &e));
    assert_true(m.newer);
    assert_int_equal(e.code, EXIT_DATA);
    manifest_free(&m);
    free(newer);
    free(text);
}

/* Random damage under a hash that fits: refused or read, never a crash (run under sanitizers). */
static void random_damage_does_not_crash(void **state)
{
    (void)state;
    Manifest m = example();
    char *text = manifest_text(&m);
    Rng r = { 1, 2, 0 };
    for (int i = 0; i < 3000; i++) {
        char *bad = sealed(text, "{", "{");
        for (int64_t k = rng_draw(&r, 4); k >= 0; k--)
            bad[rng_draw(&r, (int64_t)strlen(bad) - 40)] = "{}[],:\"\\0-9.eE \x80\xff"[rng_draw(&r, 17)];
        char *again = bad[0] ? sealed(bad, (char[]){ bad[0], 0 }, (char[]){ bad[0], 0 }) : NULL;
        if (again) {
            Manifest got;
            Err e = {0};
            bool ok = parses(again, strlen(again), &got, &e);
            assert_true(ok || e.code == EXIT_DATA);
            manifest_free(&got);
        }
        free(again);
        free(bad);
    }
    free(text);
}

static void shares_cover_all_blocks(void **state)
{
    (void)state;
    for (int64_t blocks = 0; blocks < 20; blocks++)
        for (int size = 1; size < 9; size++) {
            assert_int_equal(tensors_share(blocks, 0, size), 0);
            assert_int_equal(tensors_share(blocks, size, size), blocks);
            for (int r = 0; r < size; r++)
                assert_in_range(tensors_share(blocks, r + 1, size) - tensors_share(blocks, r, size), blocks / size,
                                blocks / size + 1);
        }
}

/* ---- files ---- */

static void replaces_and_reads(void **state)
{
    (void)state;
    char path[128], temp[128], *text;
    size_t n;
    Err e = {0};
    snprintf(path, sizeof path, "%s/a/b//c/", home);
    assert_true(dir_make(path, &e));
    assert_true(dir_make(path, &e));                    /* there already */
    snprintf(path, sizeof path, "%s/a/b/c/file", home);
    snprintf(temp, sizeof temp, "%s/a/b/c/.tmp-file", home);
    assert_true(file_replace(path, "one", 3, &e));
    assert_true(file_replace(path, "three", 5, &e));
    assert_true(file_read(path, 5, &text, &n, &e));
    assert_string_equal(text, "three");
    free(text);
    assert_int_equal(access(temp, F_OK), -1);
    assert_false(file_read(path, 4, &text, &n, &e));    /* longer than allowed */
    assert_int_equal(e.code, EXIT_DATA);
    e = (Err){0};
    snprintf(path, sizeof path, "%s/a/b/c/file/x", home);
    assert_false(dir_make(path, &e));
    assert_int_equal(e.code, EXIT_IO);
    e = (Err){0};
    snprintf(path, sizeof path, "%s/no/such/file", home);
    assert_false(file_replace(path, "x", 1, &e));
    assert_int_equal(e.code, EXIT_IO);
    assert_non_null(strstr(e.what, "No such file"));
}

static void removes_trees_but_follows_no_link(void **state)
{
    (void)state;
    char path[128], link[128], *text;
    size_t n;
    Err e = {0};
    snprintf(path, sizeof path, "%s/keep", home);
    assert_true(file_replace(path, "x", 1, &e));
    snprintf(link, sizeof link, "%s/tree/1/2", home);
    assert_true(dir_make(link, &e));
    snprintf(link, sizeof link, "%s/tree/1/2/link", home);
    assert_int_equal(symlink(home, link), 0);
    snprintf(link, sizeof link, "%s/tree", home);
    assert_true(dir_remove(link, &e));
    assert_int_equal(access(link, F_OK), -1);
    assert_true(dir_remove(link, &e));                  /* gone already */
    assert_true(file_read(path, 5, &text, &n, &e));
    free(text);
}

int main(void)
{
    snprintf(home, sizeof home, "/tmp/asvr-files-XXXXXX");
    if (!mkdtemp(home))
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back), cmocka_unit_test(any_bit_and_any_cut_is_found), cmocka_unit_test(malformed_is_refused),
        cmocka_unit_test(random_damage_does_not_crash), cmocka_unit_test(shares_cover_all_blocks),
        cmocka_unit_test(replaces_and_reads), cmocka_unit_test(removes_trees_but_follows_no_link),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    Err e = {0};
    dir_remove(home, &e);
    return failed || e.code;
}
