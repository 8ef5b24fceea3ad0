/*
 * From a pattern to the sets of regex_parts.h, by Glushkov's construction: parsing yields them at once, without a tree
 * between; a repetition parses its operand again for each copy. Thread: any.
 */
#include "datapath/base/regex_parts.h"

#include <errno.h>
#include <stdio.h>

#include "datapath/base/ascii.h"

#define DEPTH_MAX 32   /* of groups */
#define STEPS_MAX 4096 /* operands parsed, copies included */

struct part { /* of a pattern, compiled */
    bool nullable;
    struct rg_regex_set first, last;
};

struct class
{
    uint64_t w[4]; /* a bit for each byte */
};

struct parser {
    struct rg_str text;
    size_t at;
    unsigned depth, steps;
    bool nocase;
    struct rg_regex *re;
    struct rg_regex_set follow[RG_REGEX_POSITIONS_MAX];
    size_t wrong_at;
    const char *wrong; /* NULL: nothing yet */
};

static void class_add(struct class *c, unsigned byte)
{
    c->w[byte / 64] |= UINT64_C(1) << byte % 64;
}

static bool class_has(const struct class *c, unsigned byte)
{
    return c->w[byte / 64] >> byte % 64 & 1;
}

/* ---- Reading ---- */

static bool at_end(const struct parser *p)
{
    return p->at >= p->text.len || p->wrong;
}

static char peek(const struct parser *p)
{
    return at_end(p) ? '\0' : p->text.ptr[p->at];
}

static bool looking_at(const struct parser *p, const char *word)
{
    size_t n = strlen(word);
    return !p->wrong && p->text.len - p->at >= n && memcmp(p->text.ptr + p->at, word, n) == 0;
}

static bool take(struct parser *p, const char *word)
{
    if (!looking_at(p, word))
        return false;
    p->at += strlen(word);
    return true;
}

static void fail(struct parser *p, size_t at, const char *wrong)
{
    if (p->wrong)
        return;
    p->wrong = wrong;
    p->wrong_at = at;
}

/* ---- Building ---- */

static const struct part nothing = {.nullable = true};

static struct part position(struct parser *p, const struct class *c)
{
    struct part part = {0};
    uint32_t n = p->re->n;
    if (n >= RG_REGEX_POSITIONS_MAX) {
        fail(p, p->at, "the pattern is too large");
        return nothing;
    }
    p->re->n++;
    part.first.w[n / 64] = part.last.w[n / 64] = UINT64_C(1) << n % 64;
    for (unsigned byte = 0; byte < 256; byte++)
        if (class_has(c, byte))
            p->re->accepts[byte].w[n / 64] |= UINT64_C(1) << n % 64;
    return part;
}

/* What may come after any of the positions in `before`. */
static void link(struct parser *p, const struct rg_regex_set *before, const struct rg_regex_set *after)
{
    for (unsigned i = 0; i < RG_REGEX_WORDS; i++)
        for (uint64_t bits = before->w[i]; bits; bits &= bits - 1)
            rg_regex_set_add(&p->follow[i * 64 + (unsigned)__builtin_ctzll(bits)], after);
}

static struct part sequence_of(struct parser *p, const struct part *a, const struct part *b)
{
    struct part r = {.nullable = a->nullable && b->nullable, .first = a->first, .last = b->last};
    link(p, &a->last, &b->first);
    if (a->nullable)
        rg_regex_set_add(&r.first, &b->first);
    if (b->nullable)
        rg_regex_set_add(&r.last, &a->last);
    return r;
}

static struct part choice_of(const struct part *a, const struct part *b)
{
    struct part r = {.nullable = a->nullable || b->nullable, .first = a->first, .last = a->last};
    rg_regex_set_add(&r.first, &b->first);
    rg_regex_set_add(&r.last, &b->last);
    return r;
}

/* ---- Classes ---- */

static const struct {
    const char *name;
    const char *ranges; /* pairs */
} named_classes[] = {
    {"alpha", "AZaz"},     {"digit", "09"},      {"alnum", "09AZaz"}, {"upper", "AZ"},
    {"lower", "az"},       {"space", "\t\r  "},  {"blank", "\t\t  "}, {"xdigit", "09AFaf"},
    {"punct", "!/:@[`{~"}, {"word", "09AZ__az"}, {"print", " ~"},     {"graph", "!~"},
};

static void class_add_ranges(struct class *c, const char *ranges)
{
    for (; *ranges; ranges += 2)
        for (unsigned b = (unsigned char)ranges[0]; b <= (unsigned char)ranges[1]; b++)
            class_add(c, b);
}

static void class_complement(struct class *c)
{
    for (unsigned i = 0; i < 4; i++)
        c->w[i] = ~c->w[i];
}

static void class_fold(struct class *c)
{
    for (unsigned b = 'a'; b <= 'z'; b++) {
        if (class_has(c, b) || class_has(c, b - 32)) {
            class_add(c, b);
            class_add(c, b - 32);
        }
    }
}

/* The letter after a backslash. false: it names no class. */
static bool escaped_class(char letter, struct class *ret)
{
    const char *ranges = rg_lower(letter) == 'd' ? "09" : rg_lower(letter) == 'w' ? "09AZ__az" : "\t\r  ";
    if (!memchr("dDwWsS", letter, 6))
        return false;
    *ret = (struct class){0};
    class_add_ranges(ret, ranges);
    if (letter < 'a')
        class_complement(ret);
    return true;
}

/* Behind a backslash: a class, or the character itself when it is punctuation. */
static struct class parse_escape(struct parser *p)
{
    struct class c = {0};
    size_t at = p->at;
    if (at_end(p)) {
        fail(p, at, "there is nothing behind the backslash");
        return c;
    }
    char letter = p->text.ptr[p->at++];
    if (escaped_class(letter, &c))
        return c;
    if (letter == 't')
        letter = '\t';
    else if (rg_is_digit(letter))
        fail(p, at, "back-references are not supported");
    else if (rg_is_alnum(letter))
        fail(p, at, "this escape is not supported; \\d, \\w, \\s and punctuation are");
    class_add(&c, (unsigned char)letter);
    return c;
}

static bool parse_named_class(struct parser *p, struct class *c)
{
    if (!looking_at(p, "[:"))
        return false;
    for (size_t i = 0; i < sizeof named_classes / sizeof *named_classes; i++) {
        char word[16];
        snprintf(word, sizeof word, "[:%s:]", named_classes[i].name);
        if (take(p, word)) {
            class_add_ranges(c, named_classes[i].ranges);
            return true;
        }
    }
    fail(p, p->at, "there is no class of this name");
    return true;
}

/* One end of a range, or a character alone. -1: a class, added to c already; or an error. */
static int parse_class_member(struct parser *p, struct class *c)
{
    if (parse_named_class(p, c))
        return -1;
    size_t at = p->at;
    char ch = p->text.ptr[p->at++];
    if ((unsigned char)ch >= 0x80) {
        fail(p, at, "a class can't hold characters beyond ASCII");
        return -1;
    }
    if (ch != '\\')
        return (unsigned char)ch;
    struct class escaped = parse_escape(p);
    unsigned members = 0, last = 0;
    for (unsigned b = 0; b < 256; b++) {
        if (class_has(&escaped, b)) {
            members++;
            last = b;
            class_add(c, b);
        }
    }
    return members == 1 ? (int)last : -1;
}

static struct class parse_class(struct parser *p)
{
    struct class c = {0};
    size_t open = p->at - 1;
    bool negated = take(p, "^"), first = true;
    while (!at_end(p) && (first || peek(p) != ']')) {
        first = false;
        size_t at = p->at;
        int low = parse_class_member(p, &c), high = low;
        if (low >= 0 && peek(p) == '-' && p->at + 1 < p->text.len && p->text.ptr[p->at + 1] != ']') {
            p->at++;
            high = parse_class_member(p, &c);
            if (high < low)
                fail(p, at, "this range of a class goes backwards");
        }
        for (int b = low; b >= 0 && b <= high; b++)
            class_add(&c, (unsigned)b);
    }
    if (!take(p, "]"))
        fail(p, open, "a ] is missing for this [");
    if (p->nocase)
        class_fold(&c);
    if (negated)
        class_complement(&c);
    return c;
}

/* ---- Expressions ---- */

static struct part parse_choice(struct parser *p);

static struct part parse_group(struct parser *p)
{
    size_t open = p->at - 1;
    if (looking_at(p, "?") && !take(p, "?:"))
        fail(p, open, "of the groups that begin with (? only (?: is supported, and (?i) at the very front");
    if (++p->depth > DEPTH_MAX)
        fail(p, open, "groups are nested too deep");
    struct part r = parse_choice(p);
    p->depth--;
    if (!take(p, ")"))
        fail(p, open, "a ) is missing for this (");
    return r;
}

static struct part parse_operand(struct parser *p)
{
    struct class c = {0};
    size_t at = p->at;
    if (++p->steps > STEPS_MAX)
        fail(p, at, "the pattern is too large");
    if (p->wrong)
        return nothing;
    char ch = p->text.ptr[p->at++];
    switch (ch) {
    case '(':
        return parse_group(p);
    case '[':
        c = parse_class(p);
        break;
    case '.':
        class_complement(&c);
        break;
    case '\\':
        c = parse_escape(p);
        break;
    case '*':
    case '+':
    case '?':
    case '{':
        fail(p, at, "there is nothing to repeat");
        return nothing;
    case '^':
    case '$':
        fail(p, at, "^ and $ are for the ends of a value: the pattern matches it whole");
        return nothing;
    default:
        class_add(&c, (unsigned char)ch);
        break;
    }
    if (p->nocase && ch != '[')
        class_fold(&c);
    return position(p, &c);
}

static struct part optional(struct part a)
{
    a.nullable = true;
    return a;
}

static struct part repeated(struct parser *p, struct part a)
{
    link(p, &a.last, &a.first);
    return a;
}

#define UNBOUNDED UINT32_MAX

static uint32_t parse_count(struct parser *p)
{
    uint32_t n = 0;
    size_t at = p->at;
    while (rg_is_digit(peek(p)) && n <= RG_REGEX_POSITIONS_MAX)
        n = n * 10 + (uint32_t)(p->text.ptr[p->at++] - '0');
    if (p->at == at)
        fail(p, at, "a number is missing here: {n}, {n,} or {n,m}");
    if (n > RG_REGEX_POSITIONS_MAX)
        fail(p, at, "this repeats too often");
    return n;
}

/* Behind "{". first: the operand, parsed once already, from `start` on. */
static struct part parse_interval(struct parser *p, struct part first, size_t start)
{
    size_t open = p->at - 1;
    uint32_t least = parse_count(p), most = least;
    if (take(p, ","))
        most = peek(p) == '}' ? UNBOUNDED : parse_count(p);
    if (!take(p, "}"))
        fail(p, open, "this is no interval: {n}, {n,} or {n,m}");
    if (most < least)
        fail(p, open, "this interval goes backwards");
    if (most == 0 || p->wrong)
        return nothing;
    size_t after = p->at;
    uint32_t copies = most == UNBOUNDED ? (least > 0 ? least : 1) : most;
    struct part all = nothing;
    for (uint32_t i = 0; i < copies && !p->wrong; i++) {
        p->at = start;
        struct part one = i == 0 ? first : parse_operand(p);
        if (most == UNBOUNDED && i + 1 == copies)
            one = repeated(p, one);
        if (i >= least)
            one = optional(one);
        all = sequence_of(p, &all, &one);
    }
    p->at = after;
    return all;
}

static struct part parse_repeated(struct parser *p)
{
    size_t start = p->at;
    struct part a = parse_operand(p);
    if (take(p, "*"))
        a = optional(repeated(p, a));
    else if (take(p, "+"))
        a = repeated(p, a);
    else if (take(p, "?"))
        a = optional(a);
    else if (take(p, "{"))
        a = parse_interval(p, a, start);
    else
        return a;
    take(p, "?"); /* as few as possible: the same values match */
    if (!at_end(p) && memchr("*+?{", peek(p), 4))
        fail(p, p->at, "this repeats a repetition; put the first in ( )");
    return a;
}

/* Around an alternative of the whole pattern, where it says what holds anyway. */
static bool take_anchor(struct parser *p, const char *anchor)
{
    return p->depth == 0 && take(p, anchor);
}

static struct part parse_sequence(struct parser *p)
{
    struct part r = nothing;
    take_anchor(p, "^");
    while (!at_end(p) && peek(p) != '|' && peek(p) != ')') {
        bool last = p->at + 1 == p->text.len || p->text.ptr[p->at + 1] == '|';
        if (last && take_anchor(p, "$"))
            break;
        struct part next = parse_repeated(p);
        r = sequence_of(p, &r, &next);
    }
    return r;
}

static struct part parse_choice(struct parser *p)
{
    struct part r = parse_sequence(p);
    while (take(p, "|")) {
        struct part other = parse_sequence(p);
        r = choice_of(&r, &other);
    }
    return r;
}

int rg_regex_compile(struct rg_arena *arena, struct rg_str pattern, const struct rg_regex **ret, char *why,
                     size_t why_size)
{
    struct rg_regex *re = rg_arena_alloc(arena, sizeof *re);
    if (!re)
        return -ENOMEM;
    struct parser p = {.text = pattern, .re = re};
    p.nocase = take(&p, "(?i)");
    struct part whole = parse_choice(&p);
    if (!at_end(&p))
        fail(&p, p.at, "there is no ( for this )");
    if (p.wrong) {
        snprintf(why, why_size, "at %zu: %s", p.wrong_at + 1, p.wrong);
        return -EINVAL;
    }
    re->follow = rg_arena_array(arena, re->n, sizeof *re->follow);
    if (!re->follow)
        return -ENOMEM;
    memcpy(re->follow, p.follow, re->n * sizeof *re->follow);
    re->nullable = whole.nullable;
    re->first = whole.first;
    re->last = whole.last;
    *ret = re;
    return 0;
}
