/*
 * A strict configuration decoder: a table of options says what a YAML file may hold, where each value goes and how it
 * reads in messages and documentation. Every error of a file is reported in one go, sorted by position, as
 * `file:line:col: path.to.key: got X, wanted Y; did you mean Z?`.
 *
 * The table is the one declaration: decoder, defaults, JSON, docs/OPTIONS.md and the JSON Schema read it.
 * Thread: any one; nothing here is shared.
 */
#ifndef RG_COMMON_CONF_H
#define RG_COMMON_CONF_H

#include <stdio.h>

#include "control/common/address.h"
#include "control/common/conf_errors.h"
#include "control/common/conf_tree.h"

enum rg_conf_type {
    RG_CONF_BOOL,
    RG_CONF_INT,      /* a whole number, or one of the words */
    RG_CONF_DURATION, /* with a unit; kept in milliseconds */
    RG_CONF_SIZE,     /* bytes, or with a binary unit */
    RG_CONF_ENUM,     /* one of the words */
    RG_CONF_TARGET,   /* the path part of a URL */
    RG_CONF_FILE,     /* an absolute path, or "-" unless must_be_path */
    RG_CONF_ADDRESS,  /* struct rg_address */
    RG_CONF_PREFIX,   /* struct rg_prefix */
    RG_CONF_CUSTOM,   /* see struct rg_conf_custom */
    RG_CONF_LIST,     /* the count of a list; rows with "path[]" describe the items */
};

struct rg_conf_word {
    const char *name; /* NULL ends a list of words */
    uint64_t value;
    const char *refused; /* not NULL: a known word that this version does not support, and what to do instead */
};

/* A value of its own kind, spread over several members. */
struct rg_conf_custom {
    bool (*parse)(struct rg_str text, void *target);
    void (*format)(const void *target, char *buf, size_t len);
    bool (*equal)(const void *a, const void *b);
    void (*copy)(void *to, const void *from);
    const char *wanted; /* for messages and documentation */
    const char *schema; /* members of its JSON Schema */
    bool any_word;      /* takes nearly every word, which therefore tells nothing of what its writer meant */
};

struct rg_conf_option {
    const char *path; /* "section.key"; items of a list have "[]" after the list's name */
    enum rg_conf_type type;
    size_t offset, size; /* the member of the target; for items: that of the first item */
    const char *preset;  /* the default as text; NULL: none */
    uint64_t min, max;   /* INT, DURATION (ms), SIZE (bytes), LIST (items) */
    const struct rg_conf_word *words;
    const struct rg_conf_custom *custom;
    size_t array;      /* LIST: offset of the first item */
    size_t stride;     /* LIST: from one item to the next */
    size_t on;         /* offset of a bool that is false when the value is "off"; 0: none */
    bool can_be_off;   /* TARGET, FILE, ADDRESS: the word "off" leaves the member empty */
    bool plural;       /* the item of a list that is a value, not a section */
    bool required;     /* every item of a list must have it */
    bool must_be_path; /* FILE: standard output is none */
    bool fixed;        /* kept until restart; of a list: together with the rows of its items that are */
    uint8_t use;       /* ADDRESS: enum rg_address_use */
    const char *help;
};

struct rg_conf_table {
    const struct rg_conf_option *options; /* rows of one section stand together */
    size_t count;
};

/* Longest text that rg_conf_format makes, and longest value that a file may hold. */
#define RG_CONF_TEXT_MAX 512

/* Writes every default that the table declares, also into all items that a list may have. A default that does not parse
 * is a programming error. */
void rg_conf_preset(const struct rg_conf_table *table, void *target);

/* Decodes a tree into target, which holds the defaults. Errors go to errors; target is half-written when there are any.
 */
void rg_conf_decode(const struct rg_conf_table *table, const struct rg_conf_tree *tree, void *target,
                    struct rg_conf_errors *errors);

/* One value from a flag; `name` is the flag as the message shows it. False: an error was added. */
bool rg_conf_decode_flag(const struct rg_conf_option *option, const char *name, const char *text, void *target,
                         struct rg_conf_errors *errors);

/* NULL: no such row. */
const struct rg_conf_option *rg_conf_option_of(const struct rg_conf_table *table, const char *path);

/* A value as the file would have it. `target` is the target's start; for an item, moved by index * stride. */
void rg_conf_format(const struct rg_conf_option *option, const void *target, char *buf, size_t len);
bool rg_conf_equal(const struct rg_conf_option *option, const void *a, const void *b);
void rg_conf_copy(const struct rg_conf_option *option, void *to, const void *from);
size_t rg_conf_list_count(const struct rg_conf_option *list, const void *target);

/* The values that an option takes, in words: `a duration from 10ms to 24h, like 10s`. */
void rg_conf_wanted(const struct rg_conf_option *option, char *buf, size_t len);

/* --- shared by the parts of the decoder --- */

/* Parses text into target. On failure `hint` (RG_CONF_TEXT_MAX) has a correction or is empty, and `wanted` may be
 * narrowed. */
bool rg_conf_parse(const struct rg_conf_option *option, struct rg_str text, void *target, char *wanted, char *hint);
void rg_conf_store(const struct rg_conf_option *option, void *target, uint64_t value);
uint64_t rg_conf_fetch(const struct rg_conf_option *option, const void *target);

bool rg_conf_parse_uint(struct rg_str text, uint64_t *ret);        /* digits only, no overflow, no leading zero */
bool rg_conf_parse_duration(struct rg_str text, uint64_t *ret_ms); /* digits and ms, s, m or h */
bool rg_conf_parse_size(struct rg_str text, uint64_t *ret);        /* digits and nothing, B, KiB, MiB, GiB or TiB */
void rg_conf_format_duration(uint64_t ms, char *buf, size_t len);
void rg_conf_format_size(uint64_t bytes, char *buf, size_t len);
void rg_conf_hint_duration(struct rg_str text, char *hint,
                           size_t len); /* what a near miss surely meant; "" otherwise */
void rg_conf_hint_size(struct rg_str text, char *hint, size_t len);

/* Edit distance (insert, delete, replace, swap of neighbours; case costs nothing) and whether it is a likely slip. */
unsigned rg_conf_distance(struct rg_str a, struct rg_str b);
bool rg_conf_is_near(struct rg_str got, struct rg_str known, unsigned *ret_distance);

#endif
