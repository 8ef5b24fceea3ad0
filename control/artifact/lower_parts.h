/*
 * What the parts of lowering share. Private to lower*.c. Thread: any one at a time.
 *
 * Who finds something wrong says so, notes it in `failed` and goes on with what can be used, so that all problems of a
 * definition are told at once.
 */
#ifndef RG_ARTIFACT_LOWER_PARTS_H
#define RG_ARTIFACT_LOWER_PARTS_H

#include "control/artifact/lower.h"

/* ---- lower.c ---- */

void rg_lower_refuse(struct rg_lower *l, const char *path, const char *got, const char *wanted, const char *remedy);
void rg_lower_refuse_text(struct rg_lower *l, const char *path, struct rg_str got, const char *wanted,
                          const char *remedy);

/* A text in the arena; "" when memory is out. */
const char *rg_lower_text(struct rg_lower *l, const char *format, ...) __attribute__((format(printf, 2, 3)));
void *rg_lower_alloc(struct rg_lower *l, size_t n, size_t size); /* NULL: no memory, noted */

/* A list of attachments that grows. */
struct rg_lower_chain {
    const struct rg_lower_policy **items;
    size_t n, room;
};

void rg_lower_chain_add(struct rg_lower *l, struct rg_lower_chain *chain, const struct rg_lower_policy *policy);
void rg_lower_chain_add_all(struct rg_lower *l, struct rg_lower_chain *chain, const struct rg_lower_chain *more);
void rg_lower_chain_add_list(struct rg_lower *l, struct rg_lower_chain *chain, const struct rg_lower_source *source,
                             const struct rg_param_list *policies, const char *path);

/* One attachment of a definition. NULL: no memory. */
const struct rg_lower_policy *rg_lower_policy(struct rg_lower *l, const struct rg_lower_source *source,
                                              const struct rg_spec_policy *policy, const char *path,
                                              const char *params_path);
/* One that no definition names; takes the reference to `params`. NULL: no memory. */
const struct rg_lower_policy *rg_lower_made_policy(struct rg_lower *l, const struct rg_lower_source *source,
                                                   const char *name, json_t *params, const char *path);
/* The header that an upstream or a provider wants to see; NULL: none, or something is wrong with it. */
const struct rg_lower_policy *rg_lower_auth(struct rg_lower *l, const struct rg_lower_source *source,
                                            const struct rg_spec_auth *auth, const char *path);

struct rg_lower_times {
    uint32_t response_head_ms, body_idle_ms;
};
/* inner's, where it has them, else outer's */
struct rg_lower_times rg_lower_times(const struct rg_spec_resilience *inner, const struct rg_spec_resilience *outer);

/* Copies the route for every host. */
void rg_lower_route_add(struct rg_lower *l, const struct rg_route_spec *route, const struct rg_lower_chain *chain,
                        const struct rg_str *hosts, size_t n_hosts, const char *path);

/* ---- lower_path.c: hosts and paths ---- */

/* Context without a slash at the end: "" for "/". */
struct rg_str rg_lower_context(struct rg_lower *l, struct rg_str text, struct rg_str version, const char *path);

/* "a.example;*.b.example": at least one; "" among them stands for any. NULL: refused. */
struct rg_str *rg_lower_hosts(struct rg_lower *l, struct rg_str text, const char *path, size_t *ret_n);

/* Checks the path of an operation and says how it matches. prefix: it is the front of what is meant. */
bool rg_lower_operation_path(struct rg_lower *l, struct rg_str text, bool prefix, const char *path,
                             enum rg_path_match *ret);

struct rg_str rg_lower_join(struct rg_lower *l, struct rg_str a, struct rg_str b);

/* The method of a route: "" for "*". false: refused. */
bool rg_lower_method(struct rg_lower *l, struct rg_str text, bool star, const char *path, struct rg_str *ret);

/* ---- lower_upstream.c ---- */

/* Index of the upstream, made where it is new. RG_UPSTREAM_NONE: refused. definitions: of struct rg_spec_definition. */
uint32_t rg_lower_upstream(struct rg_lower *l, const struct rg_lower_source *source,
                           const struct rg_spec_upstream *upstream, const struct rg_param_list *definitions,
                           const char *name, const char *path);

/* ---- lower_pattern.c: sets of paths ---- */

/* The segments of a path, one after the other; one that ends with a slash has an empty one last. */
struct rg_segments {
    struct rg_str rest;
    bool at_end;
};

struct rg_segments rg_segments_of(struct rg_str path);
bool rg_segments_next(struct rg_segments *s, struct rg_str *ret); /* false: there is none left */
bool rg_segments_is_rest(const struct rg_segments *s);            /* what is left is "*" alone */

/* Every path of `inner` is one of `outer`. */
bool rg_pattern_covers(struct rg_str outer, struct rg_str inner);

struct rg_patterns {
    struct rg_str items[RG_LOWER_PATTERNS_MAX];
    size_t n;
};

/* Each once. false: too many. */
bool rg_patterns_add(struct rg_patterns *set, struct rg_str pattern);
/* Adds what two of them have in common, until nothing is new: whichever pattern is the closest for a request then has
 * all that apply to it above itself. false: too many, or no memory. */
bool rg_patterns_close(struct rg_patterns *set, struct rg_arena *arena);

/* ---- One file each ---- */

void rg_lower_rest(struct rg_lower *l, const struct rg_lower_source *self);
void rg_lower_llm(struct rg_lower *l, const struct rg_lower_source *self, const struct rg_lower_source *provider);

#endif
