/*
 * Runs the vectors of the given files: bytes beside what must come out of them (the form is in h1/README.md). Each is
 * run whole, byte by byte, and cut in two at every place, with the same result.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/conformance/h1_driver.h"

#define EXPECTED_MAX 32

struct vector {
    char name[160];
    int line;
    bool is_response;
    struct h1_run run;
    struct h1_bytes in;
    char *expected[EXPECTED_MAX]; /* lines "key: value" of the summary */
    unsigned n_expected;
};

static int failures;

static void fail(const char *file, const struct vector *v, const char *what, const char *detail)
{
    failures++;
    printf("%s:%d: %s: %s\n%.4000s\n", file, v->line, v->name, what, detail);
}

static _Noreturn void die(const char *file, int line, const char *what, const char *text)
{
    fprintf(stderr, "%s:%d: %s: %s\n", file, line, what, text);
    exit(2);
}

/* ---- Reading ---- */

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool unescape(const char *text, struct h1_bytes *ret)
{
    for (const char *p = text; *p; p++) {
        char c = *p;
        if (c == '\\') {
            switch (*++p) {
            case 'r':
                c = '\r';
                break;
            case 'n':
                c = '\n';
                break;
            case 't':
                c = '\t';
                break;
            case '\\':
                break;
            case 'x':
                if (hex(p[1]) < 0 || hex(p[2]) < 0)
                    return false;
                c = (char)(hex(p[1]) << 4 | hex(p[2]));
                p += 2;
                break;
            default:
                return false;
            }
        }
        h1_bytes_add(ret, &c, 1);
    }
    return true;
}

static bool read_number(const char *text, unsigned long long *ret)
{
    char *end;
    errno = 0;
    *ret = strtoull(text, &end, 10);
    return errno == 0 && end != text && *end == '\0';
}

/* "key=number ..." */
static bool read_limits(char *text, struct h1_run *run)
{
    for (char *word = strtok(text, " "); word; word = strtok(NULL, " ")) {
        unsigned long long n;
        char *value = strchr(word, '=');
        if (!value || !read_number(value + 1, &n))
            return false;
        *value = '\0';
        if (strcmp(word, "head") == 0)
            run->limits.head_bytes = (uint32_t)n;
        else if (strcmp(word, "field") == 0)
            run->limits.field_bytes = (uint32_t)n;
        else if (strcmp(word, "target") == 0)
            run->limits.target_bytes = (uint32_t)n;
        else if (strcmp(word, "fields") == 0)
            run->limits.fields = (uint16_t)n;
        else if (strcmp(word, "underscore") == 0)
            run->limits.allow_underscore = n != 0;
        else if (strcmp(word, "body") == 0)
            run->framing_options.body_bytes = n;
        else
            return false;
    }
    return true;
}

static bool read_method(const char *text, enum rg_method *ret)
{
    static const char *const names[] = {
        "",
#define RG_METHOD(id, name, safe) name,
#include "datapath/http/methods.def"
#undef RG_METHOD
    };
    for (unsigned i = 1; i < sizeof(names) / sizeof(*names); i++) {
        if (strcmp(text, names[i]) == 0) {
            *ret = (enum rg_method)i;
            return true;
        }
    }
    return false;
}

/* "in: text" or "in*N: text", the text N times. */
static bool read_input(const char *key, const char *text, struct vector *v)
{
    unsigned long long times = 1;
    if (key[2] == '*' && !read_number(key + 3, &times))
        return false;
    for (unsigned long long i = 0; i < times; i++)
        if (!unescape(text, &v->in))
            return false;
    return true;
}

static void read_line(const char *file, int number, char *key, char *value, struct vector *v)
{
    bool good = true;
    if (strcmp(key, "in") == 0 || strncmp(key, "in*", 3) == 0) {
        good = read_input(key, value, v);
    } else if (strcmp(key, "limits") == 0) {
        good = read_limits(value, &v->run);
    } else if (strcmp(key, "to") == 0) {
        good = read_method(value, &v->run.request_method);
    } else if (strcmp(key, "upgrade-asked") == 0) {
        v->run.upgrade_asked = strcmp(value, "yes") == 0;
    } else {
        good = v->n_expected < EXPECTED_MAX && v->in.len > 0;
        size_t len = strlen(key) + strlen(value) + 3;
        if (good && (v->expected[v->n_expected] = malloc(len)))
            snprintf(v->expected[v->n_expected++], len, "%s: %s", key, value);
    }
    if (!good)
        die(file, number, "bad line", value);
}

/* ---- Running ---- */

static bool has_line(const struct h1_bytes *summary, const char *line)
{
    size_t len = strlen(line);
    for (const char *p = summary->ptr, *end = p + summary->len; p < end;) {
        const char *lf = memchr(p, '\n', (size_t)(end - p));
        if ((size_t)(lf - p) == len && memcmp(p, line, len) == 0)
            return true;
        p = lf + 1;
    }
    return false;
}

static void check_expected(const char *file, const struct vector *v, const struct h1_bytes *summary)
{
    for (unsigned i = 0; i < v->n_expected; i++) {
        if (has_line(summary, v->expected[i]))
            continue;
        char *text = NULL;
        if (asprintf(&text, "  wanted %s\n  got\n%.*s", v->expected[i], (int)summary->len, summary->ptr) < 0)
            abort();
        fail(file, v, "differs", text);
        free(text);
    }
}

static void check_pieces(const char *file, struct vector *v, const struct h1_bytes *whole, struct h1_pieces pieces)
{
    struct h1_bytes summary = {0};
    h1_run(&v->run, v->in.ptr, v->in.len, pieces);
    h1_summary(&v->run, &summary);
    if (!h1_bytes_eq(whole, &summary)) {
        char *text = NULL;
        if (asprintf(&text, "  first piece of %zu, %zu pieces\n  whole\n%.*s\n  cut\n%.*s", pieces.ends[0], pieces.n,
                     (int)whole->len, whole->ptr, (int)summary.len, summary.ptr) < 0)
            abort();
        fail(file, v, "depends on how it is cut", text);
        free(text);
    }
    h1_bytes_fini(&summary);
}

static void check_cuts(const char *file, struct vector *v, const struct h1_bytes *whole)
{
    size_t len = v->in.len;
    size_t step = len > 2048 ? 61 : 1; /* long ones: a sample */
    for (size_t at = 1; at < len; at += step)
        check_pieces(file, v, whole, (struct h1_pieces){(size_t[]){at, len}, 2});

    size_t *ends = malloc(len * sizeof(*ends));
    if (!ends)
        abort();
    size_t n = 0;
    for (size_t at = step; at < len; at += step)
        ends[n++] = at;
    ends[n++] = len;
    check_pieces(file, v, whole, (struct h1_pieces){ends, n});
    free(ends);
}

static void run_vector(const char *file, struct vector *v)
{
    if (v->n_expected == 0 || strncmp(v->expected[0], "out: ", 5) != 0)
        die(file, v->line, "no out: line", v->name);
    for (int before = 0; before <= 1; before++) {
        struct h1_bytes summary = {0};
        v->run.guard_before = before;
        h1_run_whole(&v->run, v->in.ptr, v->in.len);
        h1_summary(&v->run, &summary);
        if (!before)
            check_expected(file, v, &summary);
        check_cuts(file, v, &summary);
        h1_bytes_fini(&summary);
    }
}

static void reset_vector(struct vector *v, bool is_response)
{
    h1_bytes_fini(&v->in);
    h1_run_fini(&v->run);
    for (unsigned i = 0; i < v->n_expected; i++)
        free(v->expected[i]);
    *v = (struct vector){.is_response = is_response};
    v->run.is_response = is_response;
    v->run.limits = H1_DEFAULT_LIMITS;
    v->run.request_method = RG_METHOD_GET;
}

static int run_file(const char *path)
{
    static struct vector v;
    char *line = NULL;
    size_t cap = 0;
    int n = 0, number = 0;
    bool is_response = strstr(path, "response") != NULL, open = false;
    FILE *f = fopen(path, "r");
    if (!f)
        die(path, 0, "can't open", strerror(errno));
    reset_vector(&v, is_response);
    for (ssize_t len; (len = getline(&line, &cap, f)) > 0;) {
        number++;
        if (line[len - 1] == '\n')
            line[len - 1] = '\0';
        if (strncmp(line, "== ", 3) == 0) {
            if (open)
                run_vector(path, &v);
            reset_vector(&v, is_response);
            snprintf(v.name, sizeof(v.name), "%s", line + 3);
            v.line = number;
            open = true;
            n++;
        } else if (open && *line && *line != '#') {
            char *colon = strchr(line, ':');
            if (!colon)
                die(path, number, "no colon", line);
            *colon = '\0';
            read_line(path, number, line, colon[1] == ' ' ? colon + 2 : colon + 1, &v);
        }
    }
    if (open)
        run_vector(path, &v);
    reset_vector(&v, is_response);
    free(line);
    fclose(f);
    return n;
}

int main(int argc, char **argv)
{
    int all = 0;
    for (int i = 1; i < argc; i++) {
        int n = run_file(argv[i]);
        if (n == 0)
            die(argv[i], 0, "no vectors", "");
        printf("%s: %d vectors\n", argv[i], n);
        all += n;
    }
    printf("%d vectors, %d failures\n", all, failures);
    return all > 0 && failures == 0 ? 0 : 1;
}
