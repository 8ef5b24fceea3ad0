/*
 * Query parameters: name=value pairs between '&', percent-encoded, '+' for a space. Reading decodes; writing goes to
 * the scratch of the request and leaves alone what it does not concern. Pure; thread: any.
 */
#ifndef RG_POLICY_QUERY_H
#define RG_POLICY_QUERY_H

#include "datapath/policy/view.h"

#define RG_QUERY_VALUE_MAX 1024 /* bytes of a decoded value that is read */

struct rg_query_pair {
    struct rg_str whole; /* name, '=' and value, as they stand there */
    struct rg_str name, value;
    bool has_value; /* there is a '=' */
};

/* Where the first pair of a query (with its '?', or empty) is looked for. */
static inline struct rg_str rg_query_start(struct rg_str query)
{
    return query.len > 0 ? (struct rg_str){query.ptr + 1, query.len - 1} : query;
}
/* The next pair at *at, and over it. false: there is none. */
bool rg_query_next(struct rg_str *at, struct rg_query_pair *ret);
/* The encoded text says this. */
bool rg_query_is(struct rg_str encoded, struct rg_str plain);
/* What the encoded text says. false: too long, or no valid encoding. */
bool rg_query_decode(struct rg_str encoded, char room[RG_QUERY_VALUE_MAX], struct rg_str *ret);
/* The value of the only parameter of this name, decoded into `room`. false: none, several, too long, or no valid
 * encoding. */
bool rg_query_only(struct rg_str query, struct rg_str name, char room[RG_QUERY_VALUE_MAX], struct rg_str *ret);
/* All parameters of this name go. false: no room. */
bool rg_query_remove(struct rg_str *query, struct rg_str name, struct rg_policy_scratch *scratch);
/* Percent-encodes what a name or a value may not have as it is, in the arena. -ENOMEM. */
int rg_query_encode(struct rg_arena *arena, struct rg_str plain, struct rg_str *ret);

#endif
