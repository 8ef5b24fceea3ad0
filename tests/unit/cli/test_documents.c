/* control/cli/documents.c: where a file's documents begin and end, and the places of their fields. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include <stdio.h>
#include <unistd.h>

#include "control/cli/documents.h"

#define A "kind: RestApi\nmetadata: {name: a}\nspec:\n  x:\n  - y: 1\n"
#define B "kind: RestApi\nmetadata: {name: b}\nspec: {}\n"

static char path[] = "/tmp/rgctl-documents-XXXXXX";

static bool read_text(const char *text, struct rg_documents *ret)
{
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    rg_documents_init(ret);
    return rg_documents_read(ret, path);
}

/* names: of the documents, each with the line before its first. */
static void holds(const char *text, const char *names)
{
    struct rg_documents all;
    char found[256] = "";
    assert_true(read_text(text, &all));
    for (unsigned i = 0; i < all.n; i++)
        snprintf(found + strlen(found), sizeof(found) - strlen(found), "%s%u ", all.list[i].name, all.list[i].line);
    assert_string_equal(found, names);
    rg_documents_fini(&all);
}

static void ends_of_documents(void **state)
{
    (void)state;
    holds(A, "a0 ");
    holds("---\n" A, "a0 ");
    holds("# c\n\n---\n" A "---\n" B, "a2 b8 ");
    holds(A "---\n---\n# nothing\n---\n" B "---\n", "a0 b8 ");
    holds(A "...\n" B "...\n", "a0 b6 ");
    holds(A "--- # comment\n" B, "a0 b5 ");
    holds("kind: RestApi\nmetadata: {name: c}\nspec:\n  text: |\n    ---\n    ...\n", "c0 "); /* text, not a marker */
    holds("kind: RestApi\r\nmetadata: {name: d}\r\nspec: {}\r\n---\r\n" B, "d0 b3 ");
    holds("kind: RestApi\nmetadata: {name: e}\nspec: {}", "e0 ");
    holds("{\"kind\": \"RestApi\", \"metadata\": {\"name\": \"f\"}, \"spec\": {}}", "f0 ");
    holds("type: gateway\nname: g\n", "g0 ");
}

static void what_is_no_document(void **state)
{
    (void)state;
    static const char *const texts[] = {"",          "# only\n",         "---\n---\n", "7\n",
                                        "- a\n",     "a: &x 1\nb: *x\n", A "- b",      "a: [",
                                        A "---\n" A, "kind: 1",          "\t\t",       "kind: RestApi\nspec: {}\n"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct rg_documents all;
        assert_false(read_text(texts[i], &all));
        rg_documents_fini(&all);
    }
}

static void is_at(const struct rg_document *d, const char *field, const char *place)
{
    char found[256], wanted[256];
    rg_document_place(d, field, found, sizeof(found));
    snprintf(wanted, sizeof(wanted), "%s:%s", path, place);
    assert_string_equal(found, wanted);
}

static void places(void **state)
{
    (void)state;
    struct rg_documents all;
    assert_true(read_text("# c\n---\n" A "---\n" B, &all));
    is_at(&all.list[0], "spec.x[0].y", "7:5");
    is_at(&all.list[0], "spec.x[0].y.z[3].a", "7:5"); /* the nearest around it */
    is_at(&all.list[0], "spec.x[4]", "6:3");
    is_at(&all.list[0], "metadata.name", "4:12");
    is_at(&all.list[1], "spec", "11:1");
    is_at(&all.list[1], "nonsense", "9:1");
    is_at(&all.list[1], "", "9:1");
    is_at(&all.list[1], "[[[...", "9:1");
    rg_documents_fini(&all);
}

static int make_file(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ends_of_documents),
        cmocka_unit_test(what_is_no_document),
        cmocka_unit_test(places),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
