/* See library.h. */
#include "datapath/tls/library.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <unistd.h>

#include <openssl/conf.h>
#include <openssl/err.h>

#include "datapath/base/assert.h"
#include "datapath/settings.h"
#include "datapath/tls/kdf.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    OSSL_LIB_CTX *context;
    struct rg_tls_kdf kdf;
    bool tried, has_kdf;
} libraries[RG_WORKERS_MAX];
static bool will_be_freed;

/* OpenSSL calls it before it ends itself; after that, as from a destructor, there would be nothing to free it with. */
static void free_all(void)
{
    for (unsigned i = 0; i < RG_WORKERS_MAX; i++) {
        rg_tls_kdf_fini(&libraries[i].kdf);
        OSSL_LIB_CTX_free(libraries[i].context);
        libraries[i].context = NULL;
    }
}

/* What the system's administrator has said of providers holds here as in the default context, which has read the same
 * file. There may be none; one that can't be read any more leaves the default context. */
static bool read_system_settings(OSSL_LIB_CTX *context)
{
    char *file = CONF_get1_default_config_file();
    bool ok = file && ((access(file, F_OK) != 0 && errno == ENOENT) || OSSL_LIB_CTX_load_config(context, file) == 1);
    OPENSSL_free(file);
    return ok;
}

static OSSL_LIB_CTX *make(struct rg_tls_kdf *kdf, bool *has_kdf)
{
    if (!will_be_freed && OPENSSL_atexit(free_all) != 1)
        return NULL;
    will_be_freed = true;
    OSSL_LIB_CTX *context = OSSL_LIB_CTX_new();
    int r = context && read_system_settings(context) ? rg_tls_kdf_init(kdf, context) : -ENOENT;
    *has_kdf = r == 0;
    if (r != 0 && r != -EEXIST) {
        rg_tls_kdf_fini(kdf);
        OSSL_LIB_CTX_free(context);
        context = NULL;
    }
    ERR_clear_error();
    return context;
}

OSSL_LIB_CTX *rg_tls_library_of(unsigned worker)
{
    RG_ASSERT(worker < RG_WORKERS_MAX);
    pthread_mutex_lock(&lock);
    if (!libraries[worker].tried)
        libraries[worker].context = make(&libraries[worker].kdf, &libraries[worker].has_kdf);
    libraries[worker].tried = true;
    OSSL_LIB_CTX *context = libraries[worker].context;
    pthread_mutex_unlock(&lock);
    return context;
}

struct rg_tls_kdf *rg_tls_kdf_of(unsigned worker)
{
    rg_tls_library_of(worker);
    return libraries[worker].has_kdf ? &libraries[worker].kdf : NULL; /* set once */
}
