/* control/agent/archive*: the archives in which artifacts come, good, broken at every byte, and hostile. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "control/artifact/archive.h"
#include "control/common/problems.h"
#include "tests/unit/artifact/archive_fixture.h"

#define BIG (3u * 1024 * 1024)

static char *text_of(const struct rg_problems *why)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    rg_problems_write(why, "\n", out);
    fclose(out);
    return text;
}

/* A copy of exactly this many bytes, so that a sanitizer sees the first one too far. */
static void *exactly(const void *bytes, size_t len)
{
    void *copy = malloc(len > 0 ? len : 1);
    assert_non_null(copy);
    if (len > 0)
        memcpy(copy, bytes, len);
    return copy;
}

/* ---- zip ---- */

static void zip_is(const struct made_archive *a, const char *text, const char *problem)
{
    struct rg_problems why;
    char *got = NULL;
    size_t len = 0;
    rg_problems_init(&why);
    int rc = rg_archive_unzip(a->bytes, a->len, &got, &len, &why);
    char *said = text_of(&why);
    assert_string_equal(said, problem ? problem : "");
    assert_int_equal(rc, problem ? -EINVAL : 0);
    if (text) {
        assert_int_equal(len, strlen(text));
        assert_string_equal(got, text);
    }
    free(said);
    free(got);
    rg_problems_fini(&why);
}

static void test_zip_of_one_definition(void **state)
{
    (void)state;
    struct made_archive a = made_zip(&(struct made_member){.name = "api-1.yaml", .text = "kind: RestApi\n"}, 1);
    zip_is(&a, "kind: RestApi\n", NULL);
    made_free(&a);
    a = made_zip(&(struct made_member){.name = "sub/Api.YML", .text = "a: 1"}, 1);
    zip_is(&a, "a: 1", NULL);
    made_free(&a);
}

static void test_zip_members_that_are_refused(void **state)
{
    (void)state;
    static const struct {
        struct made_member members[2];
        size_t n;
        const char *problem;
    } cases[] = {
        {{{.name = "a.yaml", .text = "a"}, {.name = "b.yaml", .text = "b"}},
         2,
         "archive: got 2 members, wanted one .yaml file; send one definition per archive"},
        {{{.name = "a.json", .text = "a"}}, 1, "\"a.json\": got a file of another kind, wanted one .yaml file"},
        {{{.name = ".yaml", .text = "a"}}, 1, "\".yaml\": got a file of another kind, wanted one .yaml file"},
        {{{.name = "../a.yaml", .text = "a"}},
         1,
         "\"../a.yaml\": got a name that leads out of the archive or holds odd bytes, wanted a relative name without "
         "\"..\", backslash, colon and control bytes"},
        {{{.name = "/etc/a.yaml", .text = "a"}},
         1,
         "\"/etc/a.yaml\": got a name that leads out of the archive or holds odd bytes, wanted a relative name without "
         "\"..\", backslash, colon and control bytes"},
        {{{.name = "a/./b\\c.yaml", .text = "a"}},
         1,
         "\"a/./b\\\\c.yaml\": got a name that leads out of the archive or holds odd bytes, wanted a relative name "
         "without \"..\", backslash, colon and control bytes"},
        {{{.name = "a.yaml", .text = "a", .secret = "x"}},
         1,
         "\"a.yaml\": got an encrypted member, wanted one without a password"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct made_archive a = made_zip(cases[i].members, cases[i].n);
        zip_is(&a, NULL, cases[i].problem);
        made_free(&a);
    }
}

static void test_zip_bombs(void **state)
{
    (void)state;
    char *zeros = calloc(1, 17u << 20);
    struct made_archive a = made_zip(&(struct made_member){.name = "a.yaml", .text = zeros, .len = BIG}, 1);
    zip_is(&a, NULL,
           "\"a.yaml\": got more than 100 bytes unpacked from one byte, wanted an archive of definitions; remove "
           "padding from the definition");
    made_free(&a);
    a = made_zip(&(struct made_member){.name = "a.yaml", .text = zeros, .len = 17u << 20}, 1);
    zip_is(&a, NULL,
           "\"a.yaml\": got more than 16 MiB unpacked, wanted an archive of definitions; split the definition");
    made_free(&a);
    free(zeros);
}

/* Noise of letters: it can't be packed to less than a hundredth. */
static char *noise(size_t len)
{
    char *text = malloc(len + 1);
    uint32_t x = 12345;
    assert_non_null(text);
    for (size_t i = 0; i < len; i++) {
        x = x * 1664525u + 1013904223u;
        text[i] = (char)('a' + (x >> 24) % 26);
    }
    text[len] = '\0';
    return text;
}

static void test_zip_of_a_large_definition(void **state)
{
    (void)state;
    char *text = noise(10u << 20);
    struct made_archive a = made_zip(&(struct made_member){.name = "a.yaml", .text = text}, 1);
    zip_is(&a, text, NULL);
    made_free(&a);
    free(text);
}

static void test_zip_that_is_none(void **state)
{
    (void)state;
    struct made_archive a = {(unsigned char *)(uintptr_t) "kind: RestApi", 13};
    zip_is(&a, NULL, "archive: got bytes that can't be unpacked (Not a zip archive), wanted a whole zip archive");
}

/* Cut anywhere, and with every byte inverted: an error or the text, never anything else. */
static void test_zip_broken_at_every_byte(void **state)
{
    (void)state;
    const char *text = "kind: RestApi\nmetadata: {name: x}\nspec: {context: /x, context2: /x, context3: /x}\n";
    struct made_archive a = made_zip(&(struct made_member){.name = "api-1.yaml", .text = text}, 1);
    for (size_t cut = 0; cut < 2 * a.len; cut++) {
        struct rg_problems why;
        char *got = NULL;
        size_t len, n = cut < a.len ? cut : a.len;
        unsigned char *copy = exactly(a.bytes, n);
        if (cut >= a.len)
            copy[cut - a.len] = (unsigned char)~copy[cut - a.len];
        rg_problems_init(&why);
        int rc = rg_archive_unzip(copy, n, &got, &len, &why);
        assert_int_equal(rc < 0, rg_problems_any(&why));
        if (cut < a.len)
            assert_int_equal(rc, -EINVAL);
        else if (rc == 0)
            assert_string_equal(got, text);
        free(got);
        free(copy);
        rg_problems_fini(&why);
    }
    made_free(&a);
}

/* ---- tar.gz ---- */

struct seen {
    char text[2000];
    unsigned n, stop_at;
};

static int see(void *owner, const struct rg_archive_member *m)
{
    struct seen *s = owner;
    size_t used = strlen(s->text);
    snprintf(s->text + used, sizeof(s->text) - used, "%.*s %.*s %.*s: %.*s\n", (int)m->deployment.len,
             m->deployment.ptr, (int)m->kind.len, m->kind.ptr, (int)m->artifact.len, m->artifact.ptr,
             (int)(m->text.len < 40 ? m->text.len : 40), m->text.ptr);
    assert_int_equal(m->text.ptr[m->text.len], '\0');
    return ++s->n == s->stop_at ? -ECANCELED : 0;
}

static void tar_is(const struct made_archive *a, const char *seen, const char *problem)
{
    struct rg_problems why;
    struct seen s = {.text = ""};
    rg_problems_init(&why);
    int rc = rg_archive_unbatch(a->bytes, a->len, see, &s, &why);
    char *said = text_of(&why);
    assert_string_equal(said, problem ? problem : "");
    assert_int_equal(rc, problem ? -EINVAL : 0);
    assert_string_equal(s.text, seen);
    free(said);
    rg_problems_fini(&why);
}

static const struct made_member batch[] = {
    {.name = "d-1", .is_dir = true},
    {.name = "d-1/api-0199c1d2-7a10.yaml", .text = "one"},
    {.name = "d-2/llm-provider-p-2.yaml", .text = "two"},
    {.name = "d-3/llm-proxy-x.yml", .text = "three"},
    {.name = "d-4/mcp-proxy-m.yaml", .text = "four"},
    {.name = "d-5/grpc-g.yaml", .text = ""},
};
static const char batch_seen[] = "d-1 api 0199c1d2-7a10: one\nd-2 llm-provider p-2: two\nd-3 llm-proxy x: three\n"
                                 "d-4 mcp-proxy m: four\nd-5 grpc g: \n";

static void test_batch(void **state)
{
    (void)state;
    struct made_archive a = made_tar_gz(batch, sizeof(batch) / sizeof(*batch));
    tar_is(&a, batch_seen, NULL);
    made_free(&a);
    a = made_tar_gz(NULL, 0);
    tar_is(&a, "", NULL);
    made_free(&a);
}

static void test_batch_ends_when_told(void **state)
{
    (void)state;
    struct made_archive a = made_tar_gz(batch, sizeof(batch) / sizeof(*batch));
    struct rg_problems why;
    struct seen s = {.stop_at = 2};
    rg_problems_init(&why);
    assert_int_equal(rg_archive_unbatch(a.bytes, a.len, see, &s, &why), -ECANCELED);
    assert_int_equal(s.n, 2);
    assert_false(rg_problems_any(&why));
    rg_problems_fini(&why);
    made_free(&a);
}

static void test_batch_members_that_are_refused(void **state)
{
    (void)state;
    static const struct {
        struct made_member member;
        const char *problem;
    } cases[] = {
        {{.name = "d/../../x/api-1.yaml", .text = "a"},
         "\"d/../../x/api-1.yaml\": got a name that leads out of the archive or holds odd bytes, wanted a relative "
         "name "
         "without \"..\", backslash, colon and control bytes"},
        {{.name = "/d/api-1.yaml", .text = "a"},
         "\"/d/api-1.yaml\": got a name that leads out of the archive or holds odd bytes, wanted a relative name "
         "without \"..\", backslash, colon and control bytes"},
        {{.name = "api-1.yaml", .text = "a"},
         "\"api-1.yaml\": got a name of another form, wanted DEPLOYMENT/KIND-ARTIFACT.yaml"},
        {{.name = "d/e/api-1.yaml", .text = "a"},
         "\"d/e/api-1.yaml\": got a name of another form, wanted DEPLOYMENT/KIND-ARTIFACT.yaml"},
        {{.name = "d/api.yaml", .text = "a"},
         "\"d/api.yaml\": got a name of another form, wanted DEPLOYMENT/KIND-ARTIFACT.yaml"},
        {{.name = "d/-provider.yaml", .text = "a"},
         "\"d/-provider.yaml\": got a name of another form, wanted DEPLOYMENT/KIND-ARTIFACT.yaml"},
        {{.name = "d/api-1.txt", .text = "a"},
         "\"d/api-1.txt\": got a name of another form, wanted DEPLOYMENT/KIND-ARTIFACT.yaml"},
        {{.name = "d/api-1.yaml", .link = "/etc/passwd"},
         "\"d/api-1.yaml\": got a link or a special file, wanted a regular file"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct made_archive a = made_tar_gz(&cases[i].member, 1);
        tar_is(&a, "", cases[i].problem);
        made_free(&a);
    }
}

static void test_batch_bombs(void **state)
{
    (void)state;
    char *zeros = calloc(1, BIG);
    static struct made_member many[1100];
    static char names[1100][32];
    struct made_archive a = made_tar_gz(&(struct made_member){.name = "d/api-1.yaml", .text = zeros, .len = BIG}, 1);
    tar_is(&a, "",
           "\"d/api-1.yaml\": got more than 100 bytes unpacked from one byte, wanted an archive of definitions; remove "
           "padding from the definition");
    made_free(&a);
    free(zeros);
    for (size_t i = 0; i < 1100; i++) {
        uint32_t x = (uint32_t)(i + 1) * 2654435761u; /* names that don't pack well */
        snprintf(names[i], sizeof(names[i]), "d%08x", x);
        many[i] = (struct made_member){.name = names[i], .is_dir = true};
    }
    a = made_tar_gz(many, 1100);
    tar_is(&a, "", "archive: got too many members, wanted at most 1000; ask for fewer deployments");
    made_free(&a);
}

static void test_batch_that_is_none(void **state)
{
    (void)state;
    struct rg_problems why;
    struct seen s = {.text = ""};
    rg_problems_init(&why);
    assert_int_equal(rg_archive_unbatch("kind: RestApi", 13, see, &s, &why), -EINVAL);
    assert_int_equal(rg_archive_unbatch("", 0, see, &s, &why), -EINVAL);
    assert_int_equal(why.errors.count, 2);
    rg_problems_fini(&why);
}

/* Cut anywhere: what was delivered before is a front of the whole, and an end that was lost is noticed. */
static void test_batch_broken_at_every_byte(void **state)
{
    (void)state;
    struct made_archive a = made_tar_gz(batch, sizeof(batch) / sizeof(*batch));
    for (size_t cut = 0; cut < 2 * a.len; cut++) {
        struct rg_problems why;
        struct seen s = {.text = ""};
        size_t n = cut < a.len ? cut : a.len;
        unsigned char *copy = exactly(a.bytes, n);
        if (cut >= a.len)
            copy[cut - a.len] = (unsigned char)~copy[cut - a.len];
        rg_problems_init(&why);
        int rc = rg_archive_unbatch(copy, n, see, &s, &why);
        assert_int_equal(rc < 0, rg_problems_any(&why));
        if (cut < a.len)
            assert_memory_equal(s.text, batch_seen, strlen(s.text));
        free(copy);
        rg_problems_fini(&why);
    }
    made_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_zip_of_one_definition),
        cmocka_unit_test(test_zip_members_that_are_refused),
        cmocka_unit_test(test_zip_bombs),
        cmocka_unit_test(test_zip_of_a_large_definition),
        cmocka_unit_test(test_zip_that_is_none),
        cmocka_unit_test(test_zip_broken_at_every_byte),
        cmocka_unit_test(test_batch),
        cmocka_unit_test(test_batch_ends_when_told),
        cmocka_unit_test(test_batch_members_that_are_refused),
        cmocka_unit_test(test_batch_bombs),
        cmocka_unit_test(test_batch_that_is_none),
        cmocka_unit_test(test_batch_broken_at_every_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
