/*
 * Why: `ringgate-docs --write docs` makes the generated documents, `ringgate-docs --check docs` fails when the
 * committed ones differ from what the code says; the build's tests run the latter.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "control/cli/help.h"
#include "control/docs/docs.h"

static const struct {
    const char *name;
    void (*write)(FILE *out);
} documents[] = {
    {"OPTIONS.md", rg_docs_options},          {"METRICS.md", rg_docs_metrics},   {"RGCTL.md", rg_docs_rgctl},
    {"ringgate.schema.json", rg_docs_schema}, {"POLICIES.md", rg_docs_policies}, {"PLATFORM.md", rg_docs_platform},
};

#define DOCUMENTS (sizeof(documents) / sizeof(documents[0]))

static FILE *open_in(const char *dir, const char *name, const char *mode)
{
    char path[4096];
    int n = snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *f = n > 0 && (size_t)n < sizeof(path) ? fopen(path, mode) : NULL;
    if (!f)
        fprintf(stderr, "%s/%s: %s\n", dir, name, strerror(errno));
    return f;
}

static bool write_document(const char *dir, size_t i)
{
    FILE *out = open_in(dir, documents[i].name, "we");
    if (!out)
        return false;
    documents[i].write(out);
    bool ok = !ferror(out);
    ok = fclose(out) == 0 && ok;
    if (!ok)
        fprintf(stderr, "%s/%s: could not be written\n", dir, documents[i].name);
    return ok;
}

/* The line in which two streams first differ; 0: they are the same. */
static unsigned first_difference(FILE *a, FILE *b)
{
    unsigned line = 1;
    int ca, cb;
    do {
        ca = getc(a);
        cb = getc(b);
        if (ca != cb)
            return line;
        line += ca == '\n';
    } while (ca != EOF);
    return 0;
}

static bool check_document(const char *dir, size_t i)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (!out)
        return false;
    documents[i].write(out);
    fclose(out);
    FILE *committed = open_in(dir, documents[i].name, "re");
    FILE *made = fmemopen(text, len, "r");
    unsigned line = committed && made ? first_difference(made, committed) : 1;
    if (committed && line > 0)
        fprintf(stderr, "%s/%s:%u: differs from what the code says; run ringgate-docs --write %s\n", dir,
                documents[i].name, line, dir);
    if (committed)
        fclose(committed);
    if (made)
        fclose(made);
    free(text);
    return line == 0;
}

int main(int argc, char **argv)
{
    bool is_write = argc == 3 && strcmp(argv[1], "--write") == 0;
    bool ok = true;
    if (!is_write && !(argc == 3 && strcmp(argv[1], "--check") == 0)) {
        fprintf(stderr, "Usage: ringgate-docs --write|--check DIRECTORY\n");
        return 2;
    }
    for (size_t i = 0; i < DOCUMENTS; i++)
        ok = (is_write ? write_document(argv[2], i) : check_document(argv[2], i)) && ok;
    return ok ? 0 : 1;
}
