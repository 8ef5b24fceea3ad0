/*
 * OpenSSL's state, one for each worker. OpenSSL looks algorithms up for each step of a handshake, under locks and with
 * reference counts that all threads of a process share unless they have a library context of their own.
 *
 * Lifetime: made with the worker's first contexts of certificates; kept until OpenSSL itself ends, as what was made in
 * one may outlive its worker. Thread: the control thread's to make (OpenSSL reads its settings into variables that
 * SSL_CTX_new reads without a lock); any may ask for it then. What is in it belongs to the worker, and to the control
 * thread as long as the worker has not seen it.
 */
#ifndef RG_TLS_LIBRARY_H
#define RG_TLS_LIBRARY_H

#include <openssl/crypto.h>

struct rg_tls_kdf;

/* NULL, which is OpenSSL's own default, shared by all: none could be made. It is not tried again. */
OSSL_LIB_CTX *rg_tls_library_of(unsigned worker);
/* The key schedule in it. NULL: OpenSSL uses its own. */
struct rg_tls_kdf *rg_tls_kdf_of(unsigned worker);

#endif
