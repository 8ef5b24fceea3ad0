/* What OpenSSL takes for a connection: it reads what was received, and what it writes is queued to be sent. Nothing
 * here waits or fails but for want of memory. */
#include <pthread.h>

#include "datapath/tls/tls_parts.h"

static int read_net(BIO *bio, char *to, int len)
{
    struct rg_tls *t = BIO_get_data(bio);
    uint32_t done = 0, most = len > 0 ? (uint32_t)len : 0;
    BIO_clear_retry_flags(bio);
    while (done < most && t->net.head) {
        struct rg_str front = rg_input_front(&t->net);
        uint32_t n = front.len < most - done ? (uint32_t)front.len : most - done;
        memcpy(to + done, front.ptr, n);
        rg_input_use(&t->net, n);
        done += n;
    }
    if (done > 0)
        return (int)done;
    BIO_set_retry_read(bio);
    return -1;
}

/* A whole record in one block where it can be, so that the send has few pieces. */
static uint32_t write_some(struct rg_tls *t, const char *from, uint32_t len)
{
    uint32_t n = len <= RG_BUF_BULK_CAP ? len : RG_BUF_BULK_CAP;
    if (rg_output_copy(&t->wire, t->env->bufs, from, n))
        return n;
    n = len < RG_BUF_SMALL_CAP ? len : RG_BUF_SMALL_CAP;
    return rg_output_copy(&t->wire, t->env->bufs, from, n) ? n : 0;
}

static int write_wire(BIO *bio, const char *from, int len)
{
    struct rg_tls *t = BIO_get_data(bio);
    uint32_t done = 0, all = len > 0 ? (uint32_t)len : 0;
    BIO_clear_retry_flags(bio);
    while (done < all) {
        uint32_t n = write_some(t, from + done, all - done);
        if (n == 0)
            break;
        done += n;
    }
    if (done > 0)
        return (int)done;
    BIO_set_retry_write(bio);
    return -1;
}

static long control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *method;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_method(void)
{
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "ringgate");
    if (!method)
        return;
    BIO_meth_set_read(method, read_net);
    BIO_meth_set_write(method, write_wire);
    BIO_meth_set_ctrl(method, control);
}

static void __attribute__((destructor)) free_method(void)
{
    BIO_meth_free(method);
    method = NULL;
}

BIO *rg_tls_bio(struct rg_tls *t)
{
    pthread_once(&once, make_method);
    BIO *bio = method ? BIO_new(method) : NULL;
    if (!bio)
        return NULL;
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    return bio;
}
