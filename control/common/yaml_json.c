/*
 * Why: artifacts come as YAML, everything that checks them works on JSON values. libyaml's events become values from
 * the inside out: a list or an object is put into its parent when it is complete, and can be aliased from then on, so
 * no value ever holds itself. What aliases stand for counts as if it were written out. See yaml_json.h.
 */
#include "control/common/yaml_json.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "control/common/conf.h"
#include "control/common/yaml_event.h"

#define ANCHORS_MAX 256

struct level { /* an open object or list */
    json_t *value;
    char *key; /* of an object: what the next value belongs to; NULL: a key comes next */
    size_t key_len;
    char *anchor;
    size_t nodes_before;
    unsigned height; /* of the highest value in it */
    yaml_mark_t mark;
};

struct anchor {
    char *name;
    json_t *value;
    size_t nodes;
    unsigned height;
};

struct builder {
    yaml_parser_t parser;
    struct rg_conf_errors *errors;
    json_t *root;
    json_t *written;
    size_t nodes;
    unsigned depth, documents, n_anchors;
    bool bad; /* a problem was added */
    struct level levels[RG_YAML_DEPTH_MAX];
    struct anchor anchors[ANCHORS_MAX];
};

/* What to do after an event. */
enum verdict { GO_ON, STOP, NO_MEMORY };

/* ---- Problems ---- */

static void current_path(const struct builder *b, char *path, size_t len)
{
    *path = '\0';
    for (unsigned i = 0; i < b->depth; i++) {
        const struct level *l = &b->levels[i];
        if (json_is_array(l->value))
            rg_conf_path_index(path, len, json_array_size(l->value));
        else if (l->key)
            rg_conf_path_key(path, len, (struct rg_str){l->key, l->key_len});
    }
}

static void refuse(struct builder *b, yaml_mark_t mark, const char *got, const char *wanted, const char *remedy)
{
    char path[RG_PROBLEM_PATH_MAX];
    current_path(b, path, sizeof(path));
    rg_conf_errors_add(b->errors, rg_yaml_mark(mark), path, got, wanted, remedy);
    b->bad = true;
}

static void refuse_quoted(struct builder *b, yaml_mark_t mark, const char *what, struct rg_str text, const char *wanted)
{
    char quoted[RG_CONF_TEXT_MAX / 2], got[RG_CONF_TEXT_MAX];
    rg_conf_quote(text, quoted, sizeof(quoted));
    snprintf(got, sizeof(got), "%s %s", what, quoted);
    refuse(b, mark, got, wanted, NULL);
}

/* Nodes and levels, as if aliases were written out. */
static enum verdict count(struct builder *b, yaml_mark_t mark, size_t nodes, unsigned height)
{
    b->nodes += nodes;
    if (b->nodes > RG_YAML_NODES_MAX) {
        refuse(b, mark, "more than 200000 keys and values", "a smaller document", NULL);
        return STOP;
    }
    if (b->depth + height > RG_YAML_DEPTH_MAX) {
        refuse(b, mark, "more than 64 levels of nesting", "a flatter document", NULL);
        return STOP;
    }
    return GO_ON;
}

/* ---- Scalars: YAML 1.2's core schema ---- */

static bool is_one_of(struct rg_str text, const char *a, const char *b, const char *c)
{
    return rg_str_eq(text, rg_str_of(a)) || rg_str_eq(text, rg_str_of(b)) || rg_str_eq(text, rg_str_of(c));
}

static size_t span(struct rg_str text, size_t from, const char *of)
{
    size_t n = 0;
    while (from + n < text.len && text.ptr[from + n] != '\0' && strchr(of, text.ptr[from + n]))
        n++;
    return n;
}

static bool has_sign(struct rg_str text)
{
    return text.len > 0 && (text.ptr[0] == '-' || text.ptr[0] == '+');
}

/* 0o17, 0x1f, -12; base 0: no whole number. */
static int base_of(struct rg_str text, size_t *digits_at)
{
    *digits_at = 2;
    if (text.len > 2 && memcmp(text.ptr, "0x", 2) == 0 && span(text, 2, "0123456789abcdefABCDEF") == text.len - 2)
        return 16;
    if (text.len > 2 && memcmp(text.ptr, "0o", 2) == 0 && span(text, 2, "01234567") == text.len - 2)
        return 8;
    *digits_at = 0;
    size_t sign = has_sign(text);
    return text.len > sign && span(text, sign, "0123456789") == text.len - sign ? 10 : 0;
}

/* [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )? */
static bool is_float(struct rg_str text)
{
    static const char digits[] = "0123456789";
    size_t at = has_sign(text);
    size_t whole = span(text, at, digits), part = 0;
    at += whole;
    if (at < text.len && text.ptr[at] == '.') {
        part = span(text, at + 1, digits);
        at += 1 + part;
    }
    if (whole + part == 0)
        return false;
    if (at < text.len && (text.ptr[at] == 'e' || text.ptr[at] == 'E')) {
        at++;
        at += at < text.len && (text.ptr[at] == '-' || text.ptr[at] == '+');
        size_t exponent = span(text, at, digits);
        at += exponent;
        if (exponent == 0)
            return false;
    }
    return at == text.len;
}

static bool is_endless(struct rg_str text)
{
    size_t sign = has_sign(text);
    struct rg_str rest = {text.ptr + sign, text.len - sign};
    return is_one_of(rest, ".inf", ".Inf", ".INF") || is_one_of(text, ".nan", ".NaN", ".NAN");
}

/* NULL: no memory. Keeps how the number was written, unless JSON writes it just so. */
static json_t *keep_written(struct builder *b, json_t *number, struct rg_str text)
{
    char key[32], ours[32] = "";
    if (!number)
        return NULL;
    if (json_typeof(number) == JSON_INTEGER)
        snprintf(ours, sizeof(ours), "%" JSON_INTEGER_FORMAT, json_integer_value(number));
    if (rg_str_eq(text, rg_str_of(ours)))
        return number;
    if (!b->written)
        b->written = json_object();
    snprintf(key, sizeof(key), "%p", (void *)number);
    if (b->written && json_object_set_new(b->written, key, json_stringn(text.ptr, text.len)) == 0)
        return number;
    json_decref(number);
    return NULL;
}

/* A whole number that does not fit becomes a real one, as in JSON. libyaml ends its texts with a NUL. */
static json_t *number_of(struct builder *b, yaml_mark_t mark, struct rg_str text, int base, size_t digits_at)
{
    errno = 0;
    if (base > 0) {
        long long whole = strtoll(text.ptr + digits_at, NULL, base);
        if (errno == 0)
            return keep_written(b, json_integer(whole), text);
    }
    double real = base == 16 || base == 10 || base == 0 ? strtod(text.ptr, NULL) : HUGE_VAL;
    if (isfinite(real))
        return keep_written(b, json_real(real), text);
    refuse_quoted(b, mark, "the number", text, "one that a double can hold");
    return json_null();
}

/* NULL: no memory. */
static json_t *plain_value(struct builder *b, yaml_mark_t mark, struct rg_str text)
{
    size_t digits_at;
    if (text.len == 0 || is_one_of(text, "null", "Null", "NULL") || rg_str_eq(text, RG_STR("~")))
        return json_null();
    if (is_one_of(text, "true", "True", "TRUE"))
        return json_true();
    if (is_one_of(text, "false", "False", "FALSE"))
        return json_false();
    if (is_endless(text)) {
        refuse_quoted(b, mark, "the number", text, "a finite number, or a string in quotes");
        return json_null();
    }
    int base = base_of(text, &digits_at);
    return base > 0 || is_float(text) ? number_of(b, mark, text, base, digits_at) : json_stringn(text.ptr, text.len);
}

/* ---- Putting values together ---- */

static char *copy_of(struct rg_str text)
{
    char *copy = malloc(text.len + 1);
    if (copy) {
        memcpy(copy, text.ptr, text.len);
        copy[text.len] = '\0';
    }
    return copy;
}

static struct level *parent_of(struct builder *b)
{
    return b->depth > 0 ? &b->levels[b->depth - 1] : NULL;
}

static bool expects_key(struct builder *b)
{
    const struct level *l = parent_of(b);
    return l && json_is_object(l->value) && !l->key;
}

/* Takes the reference to value. */
static enum verdict place(struct builder *b, json_t *value, unsigned height)
{
    struct level *l = parent_of(b);
    int r = 0;
    if (!value)
        return NO_MEMORY;
    if (!l) {
        json_decref(b->root);
        b->root = value;
        return GO_ON;
    }
    l->height = height > l->height ? height : l->height;
    if (json_is_array(l->value)) {
        r = json_array_append_new(l->value, value);
    } else {
        r = json_object_setn_new(l->value, l->key, l->key_len, value);
        free(l->key);
        l->key = NULL;
    }
    return r < 0 ? NO_MEMORY : GO_ON;
}

static enum verdict take_key(struct builder *b, yaml_mark_t mark, struct rg_str text, bool is_plain)
{
    struct level *l = parent_of(b);
    if (json_object_getn(l->value, text.ptr, text.len))
        refuse_quoted(b, mark, "the key twice:", text, "it once");
    if (is_plain && rg_str_eq(text, RG_STR("<<")))
        refuse(b, mark, "a merge key (<<)", "the keys themselves", "write them out");
    l->key = copy_of(text);
    l->key_len = text.len;
    return l->key ? GO_ON : NO_MEMORY;
}

/* ---- Anchors ---- */

/* A later anchor of the same name takes the place of an earlier one. Takes name over. */
static enum verdict remember(struct builder *b, yaml_mark_t mark, char *name, json_t *value, size_t nodes,
                             unsigned height)
{
    unsigned i = 0;
    while (i < b->n_anchors && strcmp(b->anchors[i].name, name) != 0)
        i++;
    if (i == ANCHORS_MAX) {
        free(name);
        refuse(b, mark, "more than 256 anchors", "fewer", "write the values out");
        return STOP;
    }
    if (i < b->n_anchors) {
        free(b->anchors[i].name);
        json_decref(b->anchors[i].value);
    } else {
        b->n_anchors++;
    }
    b->anchors[i] = (struct anchor){name, json_incref(value), nodes, height};
    return GO_ON;
}

static enum verdict on_alias(struct builder *b, const yaml_event_t *e)
{
    struct rg_str name = rg_str_of((const char *)e->data.alias.anchor);
    for (unsigned i = 0; i < b->n_anchors; i++) {
        const struct anchor *a = &b->anchors[i];
        if (!rg_str_eq(rg_str_of(a->name), name))
            continue;
        if (expects_key(b)) {
            refuse_quoted(b, e->start_mark, "as a key the alias", name, "a plain key");
            return STOP;
        }
        enum verdict v = count(b, e->start_mark, a->nodes, a->height);
        return v == GO_ON ? place(b, json_incref(a->value), a->height) : v;
    }
    refuse_quoted(b, e->start_mark, "the alias", name, "one whose anchor is complete before it");
    return STOP;
}

/* ---- Events ---- */

static void refuse_tag(struct builder *b, yaml_mark_t mark, const yaml_char_t *tag)
{
    if (tag)
        refuse_quoted(b, mark, "the tag", rg_str_of((const char *)tag), "the value without a tag");
}

static enum verdict on_scalar(struct builder *b, const yaml_event_t *e)
{
    struct rg_str text = {(const char *)e->data.scalar.value, e->data.scalar.length};
    bool is_plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    enum verdict v = count(b, e->start_mark, 1, 0);
    if (v != GO_ON)
        return v;
    refuse_tag(b, e->start_mark, e->data.scalar.tag);
    if (memchr(text.ptr, '\0', text.len)) {
        refuse(b, e->start_mark, "a NUL character", "text without one", NULL);
        return STOP;
    }
    bool is_key = expects_key(b);
    json_t *value = is_key || !is_plain ? json_stringn(text.ptr, text.len) : plain_value(b, e->start_mark, text);
    if (!value)
        return NO_MEMORY;
    if (e->data.scalar.anchor) {
        char *name = copy_of(rg_str_of((const char *)e->data.scalar.anchor));
        v = name ? remember(b, e->start_mark, name, value, 1, 0) : NO_MEMORY;
    }
    if (v == GO_ON && !is_key)
        return place(b, value, 0);
    json_decref(value);
    return v == GO_ON ? take_key(b, e->start_mark, text, is_plain) : v;
}

static enum verdict on_open(struct builder *b, const yaml_event_t *e, json_t *value, const yaml_char_t *anchor,
                            const yaml_char_t *tag)
{
    struct level l = {.value = value, .nodes_before = b->nodes, .mark = e->start_mark};
    enum verdict v = value ? count(b, e->start_mark, 1, 1) : NO_MEMORY;
    if (v == GO_ON && expects_key(b)) {
        refuse(b, e->start_mark, "an object or a list as a key", "a plain key", NULL);
        v = STOP;
    }
    if (v == GO_ON && anchor && !(l.anchor = copy_of(rg_str_of((const char *)anchor))))
        v = NO_MEMORY;
    if (v != GO_ON) {
        json_decref(value);
        return v;
    }
    refuse_tag(b, e->start_mark, tag);
    b->levels[b->depth++] = l;
    return GO_ON;
}

static enum verdict on_close(struct builder *b)
{
    struct level l = b->levels[--b->depth];
    enum verdict v = GO_ON;
    if (l.anchor)
        v = remember(b, l.mark, l.anchor, l.value, b->nodes - l.nodes_before, l.height + 1);
    if (v == GO_ON)
        return place(b, l.value, l.height + 1);
    json_decref(l.value);
    return v;
}

static enum verdict on_event(struct builder *b, const yaml_event_t *e)
{
    switch (e->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (b->documents++ == 0)
            return GO_ON;
        refuse(b, e->start_mark, "a second document", "one document", "remove the line ---");
        return STOP;
    case YAML_SCALAR_EVENT:
        return on_scalar(b, e);
    case YAML_ALIAS_EVENT:
        return on_alias(b, e);
    case YAML_MAPPING_START_EVENT:
        return on_open(b, e, json_object(), e->data.mapping_start.anchor, e->data.mapping_start.tag);
    case YAML_SEQUENCE_START_EVENT:
        return on_open(b, e, json_array(), e->data.sequence_start.anchor, e->data.sequence_start.tag);
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        return on_close(b);
    case YAML_STREAM_END_EVENT:
        return STOP;
    default:
        return GO_ON;
    }
}

static void refuse_syntax(struct builder *b, struct rg_str text)
{
    char path[RG_PROBLEM_PATH_MAX];
    current_path(b, path, sizeof(path));
    rg_yaml_refuse_syntax(&b->parser, text, path, b->errors);
    b->bad = true;
}

static int build(struct builder *b, struct rg_str text)
{
    for (enum verdict v = GO_ON; v != STOP;) {
        yaml_event_t event;
        if (!yaml_parser_parse(&b->parser, &event)) {
            if (b->parser.error == YAML_MEMORY_ERROR)
                return -ENOMEM;
            refuse_syntax(b, text);
            break;
        }
        v = on_event(b, &event);
        yaml_event_delete(&event);
        if (v == NO_MEMORY)
            return -ENOMEM;
    }
    return b->bad ? -EINVAL : 0;
}

static void builder_destroy(struct builder *b)
{
    while (b->depth > 0) {
        struct level *l = &b->levels[--b->depth];
        json_decref(l->value);
        free(l->key);
        free(l->anchor);
    }
    while (b->n_anchors > 0) {
        struct anchor *a = &b->anchors[--b->n_anchors];
        json_decref(a->value);
        free(a->name);
    }
    json_decref(b->root);
    json_decref(b->written);
    free(b);
}

int rg_yaml_json(struct rg_str text, size_t max_bytes, struct rg_yaml_json *ret, struct rg_problems *problems)
{
    if (!rg_conf_scan(text.ptr, text.len, max_bytes, &problems->errors))
        return -EINVAL;
    struct builder *b = calloc(1, sizeof(*b));
    if (!b || !yaml_parser_initialize(&b->parser)) {
        free(b);
        return -ENOMEM;
    }
    b->errors = &problems->errors;
    yaml_parser_set_encoding(&b->parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&b->parser, (const unsigned char *)(text.len ? text.ptr : ""), text.len);
    int r = build(b, text);
    yaml_parser_delete(&b->parser);
    if (r == 0) {
        *ret = (struct rg_yaml_json){b->root ? b->root : json_null(), b->written};
        b->root = b->written = NULL;
    }
    builder_destroy(b);
    return r;
}

void rg_yaml_json_fini(struct rg_yaml_json *doc)
{
    json_decref(doc->value);
    json_decref(doc->written);
    *doc = (struct rg_yaml_json){0};
}

bool rg_yaml_written(const json_t *written, const json_t *number, struct rg_str *ret)
{
    char key[32];
    snprintf(key, sizeof(key), "%p", (const void *)number);
    const json_t *text = json_object_get(written, key); /* of NULL: NULL */
    if (!text)
        return false;
    *ret = (struct rg_str){json_string_value(text), json_string_length(text)};
    return true;
}
