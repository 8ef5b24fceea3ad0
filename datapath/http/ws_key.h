/*
 * The proof of a WebSocket handshake (RFC 6455 section 4): a key that the client makes, and what a server that speaks
 * the protocol makes of it. Pure; OpenSSL's allocations within a call are its own. Thread: any.
 */
#ifndef RG_HTTP_WS_KEY_H
#define RG_HTTP_WS_KEY_H

#include "datapath/http/h1_parse.h"

#define RG_WS_NONCE_LEN  16
#define RG_WS_KEY_LEN    24 /* base64 of 16 bytes */
#define RG_WS_ACCEPT_LEN 28 /* base64 of 20 bytes */

void rg_ws_key_of(const uint8_t nonce[RG_WS_NONCE_LEN], char ret[RG_WS_KEY_LEN + 1]);
/* The key is RG_WS_KEY_LEN bytes. false: no memory. */
bool rg_ws_accept_of(struct rg_str key, char ret[RG_WS_ACCEPT_LEN + 1]);
/* The response says once that it accepts this key. */
bool rg_ws_is_accepted(const struct rg_h1_response *res, struct rg_str key);

#endif
