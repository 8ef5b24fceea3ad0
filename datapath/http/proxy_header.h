/*
 * The header of the PROXY protocol, versions 1 and 2: what a proxy in front writes before the first byte of its client,
 * so that the client's address is not lost. Pure: bytes in, addresses and a verdict with a reason out; called again
 * with more bytes when there were too few.
 *
 * Strict where the specification gives a choice, for what follows the header is read by another parser: a header that
 * is malformed, too long, or whose checksum is wrong is refused, never skipped. Thread: any.
 */
#ifndef RG_HTTP_PROXY_HEADER_H
#define RG_HTTP_PROXY_HEADER_H

#include <netinet/in.h>

#include "datapath/base/reasons.h"

#define RG_PROXY_V1_MAX 107u  /* of the specification, CR LF included */
#define RG_PROXY_V2_MAX 4096u /* header and all its extensions; the specification allows 65551 */

enum rg_proxy_verdict {
    RG_PROXY_TAKEN,  /* the header ends after `length` bytes */
    RG_PROXY_ABSENT, /* these bytes begin no header */
    RG_PROXY_UNSURE, /* too few bytes to say whether they begin one */
    RG_PROXY_MORE,   /* they do, and the header goes on */
    RG_PROXY_BAD     /* they do, and it is malformed */
};

enum rg_proxy_family {
    RG_PROXY_NONE, /* the proxy speaks for itself or does not know: the connection's own address counts */
    RG_PROXY_INET, /* IPv4 (as ::ffff:a.b.c.d) or IPv6 */
    RG_PROXY_UNIX  /* the client came over a UNIX socket: it has no address */
};

struct rg_proxy_header {
    uint32_t length;
    uint8_t version; /* 1 or 2 */
    uint8_t family;  /* enum rg_proxy_family */
    bool tls;        /* the client used TLS, which the proxy has taken off */
    uint16_t source_port, destination_port;
    struct in6_addr source;
};

/* *ret is written only with RG_PROXY_TAKEN. */
enum rg_proxy_verdict rg_proxy_parse(const char *bytes, size_t len, struct rg_proxy_header *ret);

/* CRC-32C (Castagnoli) of bytes that continue those of `crc`; 0 at the beginning. */
uint32_t rg_crc32c(uint32_t crc, const char *bytes, size_t len);

#endif
