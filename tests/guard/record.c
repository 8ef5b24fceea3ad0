/* See record.h. Nothing of this is measured. */
#include "tests/guard/record.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define TEMPLATES_MAX 64
#define SIDE_MAX      4096u /* bytes of one message of a template */
#define LINE_MAX_LEN  2048
#define DIGITS_MAX    64u
#define BYTES_MAX     (64u << 20)
#define MESSAGE_MAX   (SIDE_MAX / sizeof("{x:64}") * DIGITS_MAX + SIDE_MAX) /* of a record */

struct template
{
    char name[64];
    unsigned count, made;
    bool trusted, is_ipv6;
    struct {
        char text[SIDE_MAX];
        size_t len;
    } side[2]; /* request, response */
};

struct loader {
    const char *path;
    unsigned line;
    size_t n, total;
    struct template templates[TEMPLATES_MAX];
    char *bytes;
    size_t used;
    uint64_t random;
};

static bool complain(const struct loader *l, const char *what)
{
    fprintf(stderr, "%s:%u: %s\n", l->path, l->line, what);
    return false;
}

static bool begin_template(struct loader *l, const char *text)
{
    struct template *t = &l->templates[l->n];
    char first[16] = "", second[16] = "";
    if (l->n == TEMPLATES_MAX)
        return complain(l, "too many exchanges, wanted 64 at most");
    if (sscanf(text, "%63s %u %15s %15s", t->name, &t->count, first, second) < 2 || t->count == 0)
        return complain(l, "wanted = NAME COUNT [trusted] [ipv6]");
    t->trusted = strcmp(first, "trusted") == 0;
    t->is_ipv6 = strcmp(first, "ipv6") == 0 || strcmp(second, "ipv6") == 0;
    l->total += t->count;
    l->n++;
    return true;
}

static bool add_line(struct loader *l, unsigned side, const char *text)
{
    if (l->n == 0)
        return complain(l, "a message before the first =");
    struct template *t = &l->templates[l->n - 1];
    size_t len = strlen(text);
    if (t->side[side].len + len + 2 > SIDE_MAX)
        return complain(l, "message too long, wanted 4096 bytes at most");
    memcpy(t->side[side].text + t->side[side].len, text, len);
    memcpy(t->side[side].text + t->side[side].len + len, "\r\n", 2);
    t->side[side].len += len + 2;
    return true;
}

static bool take_line(struct loader *l, char *line)
{
    line[strcspn(line, "\n")] = '\0';
    const char *text = line[0] != '\0' && line[1] == ' ' ? line + 2 : line + 1;
    switch (line[0]) {
    case '\0':
    case '#':
        return true;
    case '=':
        return begin_template(l, text);
    case '>':
        return add_line(l, 0, text);
    case '<':
        return add_line(l, 1, text);
    default:
        return complain(l, "wanted a line that begins with =, >, < or #");
    }
}

static bool read_templates(struct loader *l)
{
    char line[LINE_MAX_LEN];
    bool good = true;
    FILE *f = fopen(l->path, "re");
    if (!f) {
        fprintf(stderr, "%s: %s\n", l->path, strerror(errno));
        return false;
    }
    while (good && fgets(line, sizeof line, f)) {
        l->line++;
        good = take_line(l, line);
    }
    fclose(f);
    return good;
}

/* ---- From templates to records ---- */

/* splitmix64 */
static uint64_t next_random(struct loader *l)
{
    uint64_t x = l->random += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* "{x:N}" or "{d:N}" at p: its length, else 0. */
static size_t placeholder(const char *p, char *kind, unsigned *digits)
{
    int len = 0;
    if (p[0] != '{' || sscanf(p, "{%1[xd]:%2u}%n", kind, digits, &len) != 2 || *digits > DIGITS_MAX)
        return 0;
    return (size_t)len;
}

/* A number never begins with 0. */
static void put_digits(struct loader *l, char kind, unsigned digits)
{
    for (unsigned i = 0; i < digits; i++) {
        uint64_t r = next_random(l);
        if (kind == 'x')
            l->bytes[l->used++] = "0123456789abcdef"[r % 16];
        else
            l->bytes[l->used++] = (char)(i == 0 ? '1' + r % 9 : '0' + r % 10);
    }
}

static struct rg_str make_message(struct loader *l, const char *text, size_t len)
{
    const char *start = l->bytes + l->used;
    for (size_t i = 0; i < len;) {
        char kind[2];
        unsigned digits;
        size_t n = placeholder(text + i, kind, &digits);
        if (n > 0)
            put_digits(l, kind[0], digits);
        else
            l->bytes[l->used++] = text[i];
        i += n > 0 ? n : 1;
    }
    return (struct rg_str){start, (size_t)(l->bytes + l->used - start)};
}

/* Each template comes as often as it should, spread as evenly as its number allows. */
static struct template *next_template(struct loader *l, size_t i)
{
    struct template *best = NULL;
    double most = -1e9;
    for (size_t k = 0; k < l->n; k++) {
        struct template *t = &l->templates[k];
        double behind = (double)t->count * (double)(i + 1) / (double)l->total - t->made;
        if (t->made < t->count && behind > most) {
            most = behind;
            best = t;
        }
    }
    best->made++;
    return best;
}

/* NULL: out of memory. */
static struct rg_record *make_records(struct loader *l)
{
    struct rg_record *records = calloc(l->total, sizeof *records);
    l->bytes = malloc(BYTES_MAX);
    if (!records || !l->bytes)
        goto failed;
    for (size_t i = 0; i < l->total; i++) {
        struct template *t = next_template(l, i);
        if (BYTES_MAX - l->used < 2 * MESSAGE_MAX)
            goto failed;
        records[i] = (struct rg_record){.name = t->name, .trusted = t->trusted, .is_ipv6 = t->is_ipv6};
        records[i].request = make_message(l, t->side[0].text, t->side[0].len);
        records[i].response = make_message(l, t->side[1].text, t->side[1].len);
    }
    return records;

failed:
    fprintf(stderr, "%s: no room for %zu records\n", l->path, l->total);
    free(records);
    free(l->bytes);
    return NULL;
}

const struct rg_record *rg_record_load(const char *path, size_t wanted)
{
    static struct loader l; /* records refer to its names */
    l = (struct loader){.path = path, .random = 1};
    if (!read_templates(&l))
        return NULL;
    if (l.total != wanted) {
        fprintf(stderr, "%s: got %zu exchanges in all, wanted %zu: adjust the counts\n", path, l.total, wanted);
        return NULL;
    }
    return make_records(&l);
}
