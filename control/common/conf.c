/*
 * Why: walks a document beside the table of options; every key is either a row of the table, a section that rows lie
 * in, or an error. Nothing stops at the first error. See conf.h for owner and thread.
 */
#include "control/common/conf.h"

#include "datapath/base/assert.h"

#define PATH_MAX_LEN RG_CONF_TEXT_MAX
#define NAMES_MAX    1024

struct walk {
    const struct rg_conf_table *table;
    struct rg_conf_errors *errors;
};

/* Where the walk stands: the same place by the table's path ("a[].b") and by the document's ("a[2].b"). */
struct place {
    char row[PATH_MAX_LEN];
    char shown[PATH_MAX_LEN];
    void *target; /* of an item: moved by index * stride */
};

/* --- the table --- */

const struct rg_conf_option *rg_conf_option_of(const struct rg_conf_table *table, const char *path)
{
    for (size_t i = 0; i < table->count; i++)
        if (strcmp(table->options[i].path, path) == 0)
            return &table->options[i];
    return NULL;
}

/* The rest of a row's path below a section; NULL: the row is elsewhere. */
static const char *below(const struct rg_conf_option *option, const char *section)
{
    size_t n = strlen(section);
    if (n == 0)
        return option->path;
    if (strncmp(option->path, section, n) != 0 || option->path[n] != '.')
        return NULL;
    return option->path + n + 1;
}

static bool is_section(const struct rg_conf_table *table, const char *path)
{
    for (size_t i = 0; i < table->count; i++)
        if (below(&table->options[i], path))
            return true;
    return false;
}

/* The first name of a path: up to the next dot or bracket. */
static struct rg_str first_name(const char *path)
{
    return (struct rg_str){path, strcspn(path, ".[")};
}

/* Visits every name that a section knows, once, as rows of one section stand together. */
static bool next_name(const struct rg_conf_table *table, const char *section, size_t *i, struct rg_str *name)
{
    struct rg_str last = *name;
    for (; *i < table->count; (*i)++) {
        const char *rest = below(&table->options[*i], section);
        if (!rest || rg_str_eq(first_name(rest), last))
            continue;
        *name = first_name(rest);
        (*i)++;
        return true;
    }
    return false;
}

/* The names that a section knows, for a message: "lead a, b, c". */
static void list_names(const struct rg_conf_table *table, const char *section, const char *lead, char *buf, size_t len)
{
    size_t used = (size_t)snprintf(buf, len, "%s", lead), start = used, i = 0;
    struct rg_str name = RG_STR_NONE;
    while (used < len && next_name(table, section, &i, &name))
        used += (size_t)snprintf(buf + used, len - used, "%s%.*s", used > start ? ", " : "", (int)name.len, name.ptr);
}

/* --- presets --- */

/* `rest`: the part of the path whose lists are still to be gone into. */
static void preset(const struct rg_conf_table *table, const struct rg_conf_option *o, const char *rest, void *target)
{
    char wanted[RG_CONF_TEXT_MAX], hint[RG_CONF_TEXT_MAX], name[RG_CONF_TEXT_MAX];
    const char *items = strstr(rest, "[]");
    if (!items) {
        RG_ASSERT(rg_conf_parse(o, rg_str_of(o->preset), target, wanted, hint));
        return;
    }
    snprintf(name, sizeof(name), "%.*s", (int)(items - o->path), o->path);
    const struct rg_conf_option *list = rg_conf_option_of(table, name);
    RG_ASSERT(list);
    for (size_t i = 0; i < list->max; i++)
        preset(table, o, items + 2, (char *)target + i * list->stride);
}

void rg_conf_preset(const struct rg_conf_table *table, void *target)
{
    for (size_t i = 0; i < table->count; i++)
        if (table->options[i].preset)
            preset(table, &table->options[i], table->options[i].path, target);
}

/* --- the walk --- */

static bool is_null(const struct rg_conf_node *n)
{
    return n->kind == RG_CONF_NODE_SCALAR && n->plain &&
           (n->text.len == 0 || rg_str_eq(n->text, RG_STR("~")) || rg_str_eq_nocase(n->text, RG_STR("null")));
}

/* `is_strict`: the value had to be without quotes, so the message says that it has some. */
static void describe(const struct rg_conf_node *n, bool is_strict, char *buf, size_t len)
{
    char quoted[RG_CONF_TEXT_MAX - 16];
    if (n->kind == RG_CONF_NODE_MAP) {
        snprintf(buf, len, "a section");
    } else if (n->kind == RG_CONF_NODE_SEQ) {
        snprintf(buf, len, "a list");
    } else if (is_null(n)) {
        snprintf(buf, len, "nothing");
    } else {
        rg_conf_quote(n->text, quoted, sizeof(quoted));
        const char *quote = !n->plain && quoted[0] != '"' ? "\"" : "";
        snprintf(buf, len, "%s%s%s%s", is_strict && !n->plain ? "the string " : "", quote, quoted, quote);
    }
}

static void refuse_node(struct walk *w, const struct place *p, const struct rg_conf_node *n, const char *wanted,
                        const char *remedy)
{
    char got[RG_CONF_TEXT_MAX];
    describe(n, false, got, sizeof(got));
    rg_conf_errors_add(w->errors, n->mark, p->shown, got, wanted, remedy);
}

/* Truth values and numbers are not texts; words that stand in for a number are. */
static bool must_be_plain(const struct rg_conf_option *o, struct rg_str text)
{
    uint64_t ignored;
    return o->type == RG_CONF_BOOL || (o->type == RG_CONF_INT && rg_conf_parse_uint(text, &ignored));
}

static void refuse_quotes(struct walk *w, const struct place *p, const struct rg_conf_node *n, const char *wanted)
{
    char got[RG_CONF_TEXT_MAX], hint[RG_CONF_TEXT_MAX];
    describe(n, true, got, sizeof(got));
    snprintf(hint, sizeof(hint), "did you mean %.*s without quotes?", (int)(n->text.len < 40 ? n->text.len : 40),
             n->text.ptr);
    rg_conf_errors_add(w->errors, n->mark, p->shown, got, wanted, hint);
}

static void decode_value(struct walk *w, const struct place *p, const struct rg_conf_option *o,
                         const struct rg_conf_node *n)
{
    char wanted[RG_CONF_TEXT_MAX], hint[RG_CONF_TEXT_MAX];
    rg_conf_wanted(o, wanted, sizeof(wanted));
    if (n->kind == RG_CONF_NODE_BAD)
        return;
    if (n->kind != RG_CONF_NODE_SCALAR || is_null(n)) {
        refuse_node(w, p, n, wanted, NULL);
        return;
    }
    if (memchr(n->text.ptr, '\0', n->text.len)) {
        rg_conf_errors_add(w->errors, n->mark, p->shown, "a text with a NUL byte", wanted, NULL);
        return;
    }
    if (!rg_conf_parse(o, n->text, p->target, wanted, hint))
        refuse_node(w, p, n, wanted, hint);
    else if (!n->plain && must_be_plain(o, n->text))
        refuse_quotes(w, p, n, wanted);
}

/* The same name in another section: people forget the section more often than they mistype. */
static const char *elsewhere(const struct rg_conf_table *table, struct rg_str key)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct rg_conf_option *o = &table->options[i];
        const char *dot = strrchr(o->path, '.');
        if (dot && !strchr(o->path, '[') && rg_str_eq(key, rg_str_of(dot + 1)))
            return o->path;
    }
    return NULL;
}

static void refuse_key(struct walk *w, const struct place *section, const struct place *p, const struct rg_conf_node *n)
{
    char wanted[NAMES_MAX], hint[RG_CONF_TEXT_MAX] = "";
    unsigned best = 0, distance;
    size_t i = 0;
    struct rg_str name = RG_STR_NONE;
    list_names(w->table, section->row, "one of ", wanted, sizeof(wanted));
    if (!strchr(wanted, ','))
        list_names(w->table, section->row, "", wanted, sizeof(wanted));
    while (next_name(w->table, section->row, &i, &name))
        if (rg_conf_is_near(n->key, name, &distance) && (!*hint || distance < best)) {
            snprintf(hint, sizeof(hint), "did you mean %.*s?", (int)name.len, name.ptr);
            best = distance;
        }
    const char *other = elsewhere(w->table, n->key);
    if (!*hint && other)
        snprintf(hint, sizeof(hint), "did you mean %s?", other);
    rg_conf_errors_add(w->errors, n->key_mark, p->shown, "an unknown key", wanted, hint);
}

/* What fits many names of a section is no hint at which is meant: numbers, and what is measured in them. */
static bool tells_its_name(const struct rg_conf_option *o)
{
    return o->type == RG_CONF_ENUM || o->type == RG_CONF_TARGET || o->type == RG_CONF_FILE ||
           o->type == RG_CONF_ADDRESS || (o->type == RG_CONF_CUSTOM && !o->custom->any_word);
}

/* Many write the value that they mean where its section belongs: "replica: 127.0.0.1:8080". */
static void hint_member(const struct walk *w, const struct place *p, const struct rg_conf_node *n, char *hint,
                        size_t len)
{
    char wanted[RG_CONF_TEXT_MAX], ignored[RG_CONF_TEXT_MAX], text[RG_CONF_TEXT_MAX / 2];
    *hint = '\0';
    if (n->kind != RG_CONF_NODE_SCALAR || is_null(n) || memchr(n->text.ptr, '\0', n->text.len))
        return;
    for (size_t i = 0; i < w->table->count; i++) {
        const struct rg_conf_option *o = &w->table->options[i];
        const char *name = below(o, p->row);
        if (!name || strpbrk(name, ".[") || !tells_its_name(o))
            continue;
        rg_conf_wanted(o, wanted, sizeof(wanted));
        if (!rg_conf_parse(o, n->text, p->target, wanted, ignored))
            continue;
        rg_conf_quote(n->text, text, sizeof(text));
        snprintf(hint, len, "did you mean {%s: %s}?", name, text);
        return;
    }
}

/* "address:127.0.0.1:80" is a text in YAML: the key and its value want a blank between them. */
static void hint_blank(const struct walk *w, const struct place *p, const struct rg_conf_node *n, char *hint,
                       size_t len)
{
    struct rg_str name;
    size_t i = 0;
    if (n->kind != RG_CONF_NODE_SCALAR || !n->plain)
        return;
    while (next_name(w->table, p->row, &i, &name)) {
        if (n->text.len <= name.len || n->text.ptr[name.len] != ':' || memcmp(n->text.ptr, name.ptr, name.len) != 0)
            continue;
        snprintf(hint, len, "did you mean %.*s, a colon and a blank?", (int)name.len, name.ptr);
        return;
    }
}

static void refuse_no_section(struct walk *w, const struct place *p, const struct rg_conf_node *n)
{
    char wanted[NAMES_MAX], hint[RG_CONF_TEXT_MAX];
    list_names(w->table, p->row, "a section with ", wanted, sizeof(wanted));
    hint_member(w, p, n, hint, sizeof(hint));
    hint_blank(w, p, n, hint, sizeof(hint));
    refuse_node(w, p, n, wanted, hint);
}

static void decode_map(struct walk *w, const struct place *p, const struct rg_conf_node *n);

static void decode_item(struct walk *w, const struct place *p, const struct rg_conf_node *n)
{
    const struct rg_conf_option *value = rg_conf_option_of(w->table, p->row);
    if (n->kind == RG_CONF_NODE_BAD)
        return;
    if (value) {
        decode_value(w, p, value, n);
        return;
    }
    if (n->kind == RG_CONF_NODE_MAP) {
        decode_map(w, p, n);
        return;
    }
    refuse_no_section(w, p, n);
}

static void decode_list(struct walk *w, const struct place *p, const struct rg_conf_option *o,
                        const struct rg_conf_node *n)
{
    char got[64], wanted[RG_CONF_TEXT_MAX];
    size_t count = 0;
    rg_conf_wanted(o, wanted, sizeof(wanted));
    if (n->kind == RG_CONF_NODE_BAD)
        return;
    if (n->kind != RG_CONF_NODE_SEQ) {
        refuse_node(w, p, n, wanted,
                    n->kind == RG_CONF_NODE_SCALAR && !is_null(n) ? "begin each item with a dash" : NULL);
        return;
    }
    for (const struct rg_conf_node *i = n->first; i; i = i->next, count++) {
        struct place item = *p;
        if (count >= o->max)
            continue;
        strncat(item.row, "[]", sizeof(item.row) - strlen(item.row) - 1);
        rg_conf_path_index(item.shown, sizeof(item.shown), count);
        item.target = (char *)p->target + count * o->stride;
        decode_item(w, &item, i);
    }
    if (count < o->min || count > o->max) {
        snprintf(got, sizeof(got), "a list of %zu", count);
        rg_conf_errors_add(w->errors, n->mark, p->shown, got, wanted, NULL);
        return;
    }
    rg_conf_store(o, p->target, count);
}

static void decode_section(struct walk *w, const struct place *p, const struct rg_conf_node *n)
{
    if (n->kind == RG_CONF_NODE_MAP)
        decode_map(w, p, n);
    else if (!is_null(n) && n->kind != RG_CONF_NODE_BAD) /* a section may be empty */
        refuse_no_section(w, p, n);
}

static void decode_child(struct walk *w, const struct place *section, const struct rg_conf_node *n)
{
    struct place p = *section;
    rg_conf_path_key(p.row, sizeof(p.row), n->key);
    rg_conf_path_key(p.shown, sizeof(p.shown), n->key);
    const struct rg_conf_option *o = rg_conf_option_of(w->table, p.row);
    if (o && o->type == RG_CONF_LIST)
        decode_list(w, &p, o, n);
    else if (o)
        decode_value(w, &p, o, n);
    else if (is_section(w->table, p.row))
        decode_section(w, &p, n);
    else
        refuse_key(w, section, &p, n);
}

/* A row directly below the section that every item must have. */
static void check_required(struct walk *w, const struct place *p, const struct rg_conf_node *n)
{
    char wanted[RG_CONF_TEXT_MAX];
    for (size_t i = 0; i < w->table->count; i++) {
        const struct rg_conf_option *o = &w->table->options[i];
        const char *rest = o->required ? below(o, p->row) : NULL;
        bool found = !rest || first_name(rest).len != strlen(rest);
        for (const struct rg_conf_node *c = n->first; c && !found; c = c->next)
            found = rg_str_eq(c->key, rg_str_of(rest));
        if (found)
            continue;
        struct place missing = *p;
        rg_conf_path_key(missing.shown, sizeof(missing.shown), rg_str_of(rest));
        rg_conf_wanted(o, wanted, sizeof(wanted));
        rg_conf_errors_add(w->errors, n->mark, missing.shown, "nothing", wanted, NULL);
    }
}

static void decode_map(struct walk *w, const struct place *p, const struct rg_conf_node *n)
{
    for (const struct rg_conf_node *c = n->first; c; c = c->next)
        decode_child(w, p, c);
    check_required(w, p, n);
}

void rg_conf_decode(const struct rg_conf_table *table, const struct rg_conf_tree *tree, void *target,
                    struct rg_conf_errors *errors)
{
    struct walk w = {table, errors};
    struct place top = {.row = "", .shown = "", .target = target};
    const struct rg_conf_node *root = rg_conf_tree_root(tree);
    if (!root || root->kind == RG_CONF_NODE_BAD || is_null(root))
        return;
    if (root->kind == RG_CONF_NODE_MAP) {
        decode_map(&w, &top, root);
        return;
    }
    snprintf(top.shown, sizeof(top.shown), "document");
    refuse_node(&w, &top, root, "a mapping of keys to values", NULL);
}

bool rg_conf_decode_flag(const struct rg_conf_option *option, const char *name, const char *text, void *target,
                         struct rg_conf_errors *errors)
{
    char wanted[RG_CONF_TEXT_MAX], hint[RG_CONF_TEXT_MAX], got[RG_CONF_TEXT_MAX];
    if (rg_conf_parse(option, rg_str_of(text), target, wanted, hint))
        return true;
    rg_conf_quote(rg_str_of(text), got, sizeof(got));
    rg_conf_errors_add(errors, (struct rg_conf_mark){0, 0}, name, got, wanted, hint);
    return false;
}
