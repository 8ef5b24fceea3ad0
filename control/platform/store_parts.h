/* The inside of the store, for the files of this folder. Thread: the store's, but for the counters. */
#ifndef RG_PLATFORM_STORE_PARTS_H
#define RG_PLATFORM_STORE_PARTS_H

#include <stdatomic.h>

#include "control/common/instant.h"
#include "control/platform/db.h"
#include "control/platform/seal.h"
#include "control/platform/store.h"

#define RG_STORE_PASSED 16 /* documents that are known to pass the check */

struct rg_store {
    struct rg_db db;
    struct rg_seal seal;
    struct rg_store_config config;
    int lock_fd;           /* -1: in memory */
    int64_t steady_ms;     /* rg_store_steady: what it is ahead of the clock that nobody sets */
    int64_t complained_ms; /* when it last logged that something could not be done; steady */
    char admin_token[RG_TOKEN_LEN + 1];
    char passed[RG_STORE_PASSED][RG_SHA256_LEN + 1]; /* their hashes, the newest in place of the oldest */
    unsigned n_passed;                               /* of all that ever were */
    _Atomic uint64_t counters[RG_STORE_COUNTERS];
};

/* Who does something, for the history and the audit. */
struct rg_actor {
    const char *name;        /* of the token or the gateway */
    const char *instance;    /* of a gateway; NULL otherwise */
    const char *correlation; /* id of the request; NULL: none */
};

static inline void rg_store_add(struct rg_store *store, enum rg_store_counter counter)
{
    atomic_fetch_add_explicit(&store->counters[counter], 1, memory_order_relaxed);
}

int64_t rg_store_now(const struct rg_store *store); /* milliseconds since 1970 */
/* The same when the store was opened, and from then on whatever becomes of the wall clock: for how long things take. */
int64_t rg_store_steady(const struct rg_store *store);

/* The instant as it is kept and sent. */
static inline void rg_store_time(char ret[RG_INSTANT_TEXT_MAX], int64_t unix_ms)
{
    rg_instant_format(unix_ms * 1000000, ret);
}

/* Whether a failure is to be logged: a full disk fails every call, once a second is enough. */
bool rg_store_may_complain(struct rg_store *store);

/* What is missing of an organization: the project "default" and the built-in templates. */
int rg_organization_furnish(struct rg_store *store, const char *organization, const char *now);

/* Something that cannot be expressed by the database failed (no memory, a sealed value that does not open): the
 * transaction will not be committed. */
void rg_store_fail(struct rg_store *store, int error);

#endif
