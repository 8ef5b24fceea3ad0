/*
 * See digest.h. Each thread keeps one context of the library, which its end frees; a context that is set up again for
 * the same algorithm allocates nothing.
 */
#include "datapath/policy/digest.h"

#include <openssl/evp.h>
#include <pthread.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t contexts;
static bool has_contexts;
static EVP_MD *sha256; /* looked up once: that takes locks */

static void free_context(void *context)
{
    EVP_MD_CTX_free(context);
}

static void make_key(void)
{
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    has_contexts = sha256 && pthread_key_create(&contexts, free_context) == 0;
}

static EVP_MD_CTX *make_context(void)
{
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    if (c && pthread_setspecific(contexts, c) == 0)
        return c;
    EVP_MD_CTX_free(c);
    return NULL;
}

bool rg_digest(struct rg_str s, uint8_t ret[RG_DIGEST_LEN])
{
    pthread_once(&once, make_key);
    EVP_MD_CTX *c = has_contexts ? pthread_getspecific(contexts) : NULL;
    if (!c)
        c = has_contexts ? make_context() : NULL;
    return c && EVP_DigestInit_ex2(c, sha256, NULL) == 1 && EVP_DigestUpdate(c, s.ptr, s.len) == 1 &&
           EVP_DigestFinal_ex(c, ret, NULL) == 1;
}

/* Four words and no loop: CRYPTO_memcmp goes byte by byte. */
bool rg_digest_eq(const uint8_t a[RG_DIGEST_LEN], const uint8_t b[RG_DIGEST_LEN])
{
    uint64_t x[RG_DIGEST_LEN / 8], y[RG_DIGEST_LEN / 8];
    memcpy(x, a, sizeof x);
    memcpy(y, b, sizeof y);
    return ((x[0] ^ y[0]) | (x[1] ^ y[1]) | (x[2] ^ y[2]) | (x[3] ^ y[3])) == 0;
}
