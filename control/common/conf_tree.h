/*
 * A YAML document as a tree of nodes with positions. Built whole, within limits, before anything is decoded.
 * What makes YAML surprising or explosive is refused: anchors, aliases, tags, several documents, duplicate keys.
 *
 * Owner: whoever called create. Nodes and their text live as long as the tree. Thread: any one.
 */
#ifndef RG_COMMON_CONF_TREE_H
#define RG_COMMON_CONF_TREE_H

#include "control/common/conf_errors.h"

#define RG_CONF_FILE_MAX  (1024 * 1024)
#define RG_CONF_DEPTH_MAX 32
#define RG_CONF_NODES_MAX 10000

enum rg_conf_kind {
    RG_CONF_NODE_SCALAR,
    RG_CONF_NODE_MAP,
    RG_CONF_NODE_SEQ,
    RG_CONF_NODE_BAD, /* already reported (an alias, a key that is no scalar): the decoder passes over it */
};

struct rg_conf_node {
    enum rg_conf_kind kind;
    struct rg_conf_mark mark;
    struct rg_conf_mark key_mark;
    struct rg_str key;  /* in a map; NULL otherwise */
    struct rg_str text; /* of a scalar; NUL-terminated, but may have NUL bytes inside */
    bool plain;         /* a scalar without quotes */
    struct rg_conf_node *first, *last, *next;
};

struct rg_conf_tree;

struct rg_conf_tree_limits {
    size_t bytes;
    uint32_t nodes; /* keys and values */
};

/*
 * Always makes a tree unless memory runs out (-ENOMEM). What was wrong with the text is added to errors; the tree then
 * holds what could be read (nothing at all after a syntax error).
 */
int rg_conf_tree_create(struct rg_conf_tree **ret, const char *text, size_t len,
                        const struct rg_conf_tree_limits *limits, struct rg_conf_errors *errors);
void rg_conf_tree_destroy(struct rg_conf_tree *tree);

/* Whether text is what YAML may be made of: at most max bytes of UTF-8 without NUL and other controls. */
bool rg_conf_scan(const char *text, size_t len, size_t max, struct rg_conf_errors *errors);

/* NULL: an empty document, or one that could not be read. */
const struct rg_conf_node *rg_conf_tree_root(const struct rg_conf_tree *tree);

/* A node by its path, "listeners[1].address"; NULL: not in the document. */
const struct rg_conf_node *rg_conf_tree_find(const struct rg_conf_tree *tree, const char *path);

#endif
