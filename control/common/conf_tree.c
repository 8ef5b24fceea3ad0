/*
 * Why: YAML is read by libyaml's event parser and kept as a bounded tree, so that the decoder sees a whole document
 * with positions and none of YAML's indirections. See conf_tree.h for owner and thread.
 */
#include "control/common/conf_tree.h"

#include <errno.h>
#include <stdlib.h>

#include "control/common/conf.h"
#include "control/common/yaml_event.h"

struct holder { /* a node with the bytes of its text behind it */
    struct holder *older;
    struct rg_conf_node node;
    char bytes[];
};

struct rg_conf_tree {
    struct holder *newest; /* all nodes, for destroy */
    struct rg_conf_node *root;
    uint32_t nodes;
};

enum key_state { KEY_NONE, KEY_GOOD, KEY_DROP };

struct level { /* an open map or list */
    struct rg_conf_node *node;
    enum key_state key_state; /* in a map: whether the next node is a key, a value, or the value of a refused key */
    struct rg_str key;
    struct rg_conf_mark key_mark;
    size_t index;
    bool as_key; /* the map or list is itself a (refused) key */
};

struct builder {
    yaml_parser_t parser;
    struct rg_conf_tree *tree;
    struct rg_conf_errors *errors;
    uint32_t nodes_max;
    struct level levels[RG_CONF_DEPTH_MAX];
    unsigned depth;
};

/* What the builder does after an event. */
enum verdict { GO_ON, STOP, NO_MEMORY };

static void current_path(const struct builder *b, char *path, size_t len)
{
    *path = '\0';
    for (unsigned i = 0; i < b->depth; i++) {
        const struct level *l = &b->levels[i];
        if (l->node->kind == RG_CONF_NODE_SEQ)
            rg_conf_path_index(path, len, l->index);
        else if (l->key_state != KEY_NONE && l->key.ptr)
            rg_conf_path_key(path, len, l->key);
    }
    if (*path == '\0')
        snprintf(path, len, "document");
}

static void refuse(struct builder *b, struct rg_conf_mark mark, const char *got, const char *wanted, const char *remedy)
{
    char path[RG_CONF_TEXT_MAX];
    current_path(b, path, sizeof(path));
    rg_conf_errors_add(b->errors, mark, path, got, wanted, remedy);
}

static enum verdict node_new(struct builder *b, enum rg_conf_kind kind, struct rg_conf_mark mark, struct rg_str text,
                             struct rg_conf_node **ret)
{
    if (b->tree->nodes == b->nodes_max) {
        char got[64];
        snprintf(got, sizeof(got), "more than %u keys and values", b->nodes_max);
        refuse(b, mark, got, "a smaller document", NULL);
        return STOP;
    }
    struct holder *h = calloc(1, sizeof(*h) + text.len + 1);
    if (!h)
        return NO_MEMORY;
    if (text.len > 0)
        memcpy(h->bytes, text.ptr, text.len);
    h->older = b->tree->newest;
    h->node.kind = kind;
    h->node.mark = mark;
    h->node.text = (struct rg_str){h->bytes, text.len};
    b->tree->newest = h;
    b->tree->nodes++;
    *ret = &h->node;
    return GO_ON;
}

static const struct rg_conf_node *child_of(const struct rg_conf_node *map, struct rg_str key)
{
    for (const struct rg_conf_node *n = map->first; n; n = n->next)
        if (rg_str_eq(n->key, key))
            return n;
    return NULL;
}

static void link_child(struct rg_conf_node *parent, struct rg_conf_node *child)
{
    if (parent->last)
        parent->last->next = child;
    else
        parent->first = child;
    parent->last = child;
}

static void place_key(struct builder *b, struct level *l, const struct rg_conf_node *node)
{
    if (node->kind != RG_CONF_NODE_SCALAR) {
        if (node->kind != RG_CONF_NODE_BAD)
            refuse(b, node->mark, "a mapping or a list as a key", "a plain key", NULL);
        l->key = RG_STR_NONE;
        l->key_state = KEY_DROP;
        return;
    }
    l->key = node->text;
    l->key_mark = node->mark;
    l->key_state = KEY_GOOD;
    const struct rg_conf_node *earlier = child_of(l->node, node->text);
    if (earlier) {
        char got[96];
        snprintf(got, sizeof(got), "the key twice (first in line %u)", earlier->key_mark.line);
        refuse(b, node->mark, got, "it once", NULL);
        l->key_state = KEY_DROP;
    }
}

/* Puts a node where the open map or list expects it. What belongs to a refused key is read, but left out of the tree.
 */
static void place(struct builder *b, struct rg_conf_node *node)
{
    if (b->depth == 0) {
        b->tree->root = node;
        return;
    }
    struct level *l = &b->levels[b->depth - 1];
    if (l->node->kind == RG_CONF_NODE_SEQ) {
        link_child(l->node, node);
    } else if (l->key_state == KEY_NONE) {
        place_key(b, l, node);
    } else if (l->key_state == KEY_GOOD) {
        node->key = l->key;
        node->key_mark = l->key_mark;
        link_child(l->node, node);
    }
}

/* A node is complete: the list counts on, the map expects a key again. `as_key`: the node was itself a key. */
static void step(struct builder *b, bool as_key)
{
    if (b->depth == 0)
        return;
    struct level *l = &b->levels[b->depth - 1];
    if (l->node->kind == RG_CONF_NODE_SEQ)
        l->index++;
    else if (!as_key)
        l->key_state = KEY_NONE;
}

static bool expects_key(const struct builder *b)
{
    return b->depth > 0 && b->levels[b->depth - 1].node->kind == RG_CONF_NODE_MAP &&
           b->levels[b->depth - 1].key_state == KEY_NONE;
}

static void refuse_indirection(struct builder *b, struct rg_conf_mark mark, const yaml_char_t *anchor,
                               const yaml_char_t *tag)
{
    char got[RG_CONF_TEXT_MAX], quoted[RG_CONF_TEXT_MAX / 2];
    if (anchor) {
        rg_conf_quote(rg_str_of((const char *)anchor), quoted, sizeof(quoted));
        snprintf(got, sizeof(got), "an anchor (%s)", quoted);
        refuse(b, mark, got, "the value without an anchor", "write it out wherever it is needed");
    }
    if (tag) {
        rg_conf_quote(rg_str_of((const char *)tag), quoted, sizeof(quoted));
        snprintf(got, sizeof(got), "a tag (%s)", quoted);
        refuse(b, mark, got, "the value without a tag", NULL);
    }
}

static enum verdict on_scalar(struct builder *b, const yaml_event_t *e)
{
    struct rg_conf_node *node;
    struct rg_str text = {(const char *)e->data.scalar.value, e->data.scalar.length};
    refuse_indirection(b, rg_yaml_mark(e->start_mark), e->data.scalar.anchor, e->data.scalar.tag);
    enum verdict v = node_new(b, RG_CONF_NODE_SCALAR, rg_yaml_mark(e->start_mark), text, &node);
    if (v != GO_ON)
        return v;
    node->plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    bool as_key = expects_key(b);
    place(b, node);
    step(b, as_key);
    return GO_ON;
}

static enum verdict on_alias(struct builder *b, const yaml_event_t *e)
{
    struct rg_conf_node *node;
    char got[RG_CONF_TEXT_MAX], quoted[RG_CONF_TEXT_MAX / 2];
    rg_conf_quote(rg_str_of((const char *)e->data.alias.anchor), quoted, sizeof(quoted));
    snprintf(got, sizeof(got), "an alias (%s)", quoted);
    refuse(b, rg_yaml_mark(e->start_mark), got, "the value itself", "write it out wherever it is needed");
    enum verdict v = node_new(b, RG_CONF_NODE_BAD, rg_yaml_mark(e->start_mark), RG_STR_NONE, &node);
    if (v != GO_ON)
        return v;
    bool as_key = expects_key(b);
    place(b, node);
    step(b, as_key);
    return GO_ON;
}

static enum verdict on_open(struct builder *b, const yaml_event_t *e, enum rg_conf_kind kind, const yaml_char_t *anchor,
                            const yaml_char_t *tag)
{
    struct rg_conf_node *node;
    refuse_indirection(b, rg_yaml_mark(e->start_mark), anchor, tag);
    if (b->depth == RG_CONF_DEPTH_MAX) {
        refuse(b, rg_yaml_mark(e->start_mark), "more than 32 levels of nesting", "a flatter document", NULL);
        return STOP;
    }
    enum verdict v = node_new(b, kind, rg_yaml_mark(e->start_mark), RG_STR_NONE, &node);
    if (v != GO_ON)
        return v;
    bool as_key = expects_key(b);
    place(b, node);
    b->levels[b->depth] = (struct level){.node = node, .as_key = as_key};
    b->depth++;
    return GO_ON;
}

static void on_close(struct builder *b)
{
    b->depth--;
    step(b, b->levels[b->depth].as_key);
}

static enum verdict on_event(struct builder *b, const yaml_event_t *e, unsigned *documents)
{
    switch (e->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (++*documents > 1) {
            refuse(b, rg_yaml_mark(e->start_mark), "a second document", "one document", "remove the line ---");
            return STOP;
        }
        return GO_ON;
    case YAML_SCALAR_EVENT:
        return on_scalar(b, e);
    case YAML_ALIAS_EVENT:
        return on_alias(b, e);
    case YAML_MAPPING_START_EVENT:
        return on_open(b, e, RG_CONF_NODE_MAP, e->data.mapping_start.anchor, e->data.mapping_start.tag);
    case YAML_SEQUENCE_START_EVENT:
        return on_open(b, e, RG_CONF_NODE_SEQ, e->data.sequence_start.anchor, e->data.sequence_start.tag);
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        on_close(b);
        return GO_ON;
    case YAML_STREAM_END_EVENT:
        return STOP;
    default:
        return GO_ON;
    }
}

static int build(struct builder *b, const char *text, size_t len)
{
    unsigned documents = 0;
    enum verdict v = GO_ON;
    while (v == GO_ON) {
        yaml_event_t event;
        if (!yaml_parser_parse(&b->parser, &event)) {
            if (b->parser.error == YAML_MEMORY_ERROR)
                return -ENOMEM;
            char path[RG_CONF_TEXT_MAX];
            current_path(b, path, sizeof(path));
            rg_yaml_refuse_syntax(&b->parser, (struct rg_str){text, len}, path, b->errors);
            b->tree->root = NULL;
            return 0;
        }
        v = on_event(b, &event, &documents);
        bool was_end = event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
        if (v == STOP && !was_end)
            b->tree->root = NULL;
    }
    return v == NO_MEMORY ? -ENOMEM : 0;
}

int rg_conf_tree_create(struct rg_conf_tree **ret, const char *text, size_t len,
                        const struct rg_conf_tree_limits *limits, struct rg_conf_errors *errors)
{
    struct rg_conf_tree *tree = calloc(1, sizeof(*tree));
    struct builder *b = calloc(1, sizeof(*b));
    int err = -ENOMEM;
    if (!tree || !b)
        goto out;
    if (!rg_conf_scan(text, len, limits->bytes, errors)) {
        err = 0;
        goto out;
    }
    b->tree = tree;
    b->errors = errors;
    b->nodes_max = limits->nodes;
    if (!yaml_parser_initialize(&b->parser))
        goto out;
    yaml_parser_set_encoding(&b->parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&b->parser, (const unsigned char *)text, len);
    err = build(b, text, len);
    yaml_parser_delete(&b->parser);
out:
    free(b);
    if (err < 0)
        rg_conf_tree_destroy(tree);
    else
        *ret = tree;
    return err;
}

void rg_conf_tree_destroy(struct rg_conf_tree *tree)
{
    if (!tree)
        return;
    for (struct holder *h = tree->newest, *older; h; h = older) {
        older = h->older;
        free(h);
    }
    free(tree);
}

const struct rg_conf_node *rg_conf_tree_root(const struct rg_conf_tree *tree)
{
    return tree->root;
}

static const struct rg_conf_node *item_of(const struct rg_conf_node *seq, size_t index)
{
    const struct rg_conf_node *n = seq->first;
    while (n && index-- > 0)
        n = n->next;
    return n;
}

const struct rg_conf_node *rg_conf_tree_find(const struct rg_conf_tree *tree, const char *path)
{
    const struct rg_conf_node *n = tree->root;
    while (n && *path) {
        if (*path == '[') {
            char *end;
            size_t index = strtoul(path + 1, &end, 10);
            n = n->kind == RG_CONF_NODE_SEQ ? item_of(n, index) : NULL;
            path = *end == ']' ? end + 1 : end;
        } else {
            path += *path == '.';
            size_t len = strcspn(path, ".[");
            n = n->kind == RG_CONF_NODE_MAP ? child_of(n, (struct rg_str){path, len}) : NULL;
            path += len;
        }
    }
    return n;
}
