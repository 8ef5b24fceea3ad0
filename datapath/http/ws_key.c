/* See ws_key.h. */
#include "datapath/http/ws_key.h"

#include <openssl/evp.h>

#include "datapath/base/assert.h"

#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

void rg_ws_key_of(const uint8_t nonce[RG_WS_NONCE_LEN], char ret[RG_WS_KEY_LEN + 1])
{
    EVP_EncodeBlock((unsigned char *)ret, nonce, RG_WS_NONCE_LEN);
}

bool rg_ws_accept_of(struct rg_str key, char ret[RG_WS_ACCEPT_LEN + 1])
{
    char text[RG_WS_KEY_LEN + sizeof(GUID)];
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned digest_len = 0;
    RG_ASSERT(key.len == RG_WS_KEY_LEN);
    memcpy(text, key.ptr, key.len);
    memcpy(text + key.len, GUID, sizeof(GUID));
    if (EVP_Digest(text, sizeof(text) - 1, digest, &digest_len, EVP_sha1(), NULL) != 1)
        return false;
    EVP_EncodeBlock((unsigned char *)ret, digest, (int)digest_len);
    return true;
}

bool rg_ws_is_accepted(const struct rg_h1_response *res, struct rg_str key)
{
    char wanted[RG_WS_ACCEPT_LEN + 1];
    struct rg_str got = RG_STR_NONE;
    unsigned n = 0;
    for (unsigned i = 0; i < res->n_fields; i++)
        if (res->fields[i].id == RG_FIELD_SEC_WEBSOCKET_ACCEPT) {
            got = rg_field_value(&res->fields[i]);
            n++;
        }
    return n == 1 && rg_ws_accept_of(key, wanted) && rg_str_eq(got, (struct rg_str){wanted, RG_WS_ACCEPT_LEN});
}
