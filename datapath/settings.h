/*
 * What the datapath is told: plain values, decoded and checked by the control side, immutable once published.
 *
 * Owner: the control thread. Workers read through a pointer that changes only between loop turns; the old one is freed
 * when all workers have switched. Durations in milliseconds, sizes in bytes.
 */
#ifndef RG_SETTINGS_H
#define RG_SETTINGS_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "datapath/base/str.h"

struct rg_tls_store;

#define RG_WORKERS_MAX   64
#define RG_LISTENERS_MAX 16
#define RG_TRUSTED_MAX   64

#define RG_TLS_CERTIFICATES_MAX 8 /* of a listener */
#define RG_ALPN_MAX             4

struct rg_address {
    union {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    };
    socklen_t len;
    bool v6_only;   /* of [::], by whoever made the socket: it takes no IPv4 */
    bool h2c;       /* of a replica: written as h2c://..., which says what it speaks */
    char text[128]; /* canonical, for messages: 127.0.0.1:80, [::]:80, unix:/path */
};

struct rg_prefix { /* an address range; IPv4 is kept as ::ffff:a.b.c.d */
    struct in6_addr addr;
    uint8_t bits;
};

/* n may be 0. */
bool rg_prefixes_hold(const struct rg_prefix *prefixes, unsigned n, const struct in6_addr *addr);

enum rg_proxy_mode { RG_PROXY_MODE_OFF, RG_PROXY_MODE_ACCEPT, RG_PROXY_MODE_REQUIRE };
enum rg_steering_mode { RG_STEERING_OFF, RG_STEERING_HASH, RG_STEERING_LOAD, RG_STEERING_NEAR };
enum rg_sockmap_mode { RG_SOCKMAP_OFF, RG_SOCKMAP_AUTO };
enum rg_replica_protocol { RG_REPLICA_HTTP1, RG_REPLICA_H2C };
enum rg_access_format { RG_ACCESS_JSON };
enum rg_health_expect { RG_EXPECT_AUTO, RG_EXPECT_IC_STATUS, RG_EXPECT_RANGE };

enum rg_client_certificates { RG_CLIENT_CERT_OFF, RG_CLIENT_CERT_OPTIONAL, RG_CLIENT_CERT_REQUIRED };
enum rg_tls_version { RG_TLS_1_2, RG_TLS_1_3 };
enum rg_alpn { RG_ALPN_HTTP11, RG_ALPN_H2 };

struct rg_health_settings {
    char path[256];
    uint32_t interval_ms, timeout_ms;
    uint8_t expect;                  /* enum rg_health_expect */
    uint16_t status_min, status_max; /* RG_EXPECT_RANGE */
    uint16_t rise, fall;
    bool enabled; /* false: health.path is "off", the replica counts as healthy until connects fail */
    bool is_self; /* the replica is this process: it goes without saying that nobody looks at it */
};

struct rg_certificate_settings {
    char cert[256], key[256]; /* files */
    char ocsp[256];           /* answer of the authority; "": none */
};

struct rg_tls_settings {
    uint16_t n_certificates; /* 0: HTTP in the clear */
    struct rg_certificate_settings certificates[RG_TLS_CERTIFICATES_MAX];
    uint8_t client_certificates; /* enum rg_client_certificates */
    char client_ca[256];         /* file; "": none */
    uint8_t min_version;         /* enum rg_tls_version */
    char ciphers[512];           /* of TLS 1.2, as OpenSSL writes them; "": ours */
    uint16_t n_alpn;             /* 0: all that the gateway speaks */
    uint8_t alpn[RG_ALPN_MAX];   /* enum rg_alpn, the preferred first */
};

struct rg_listener_settings {
    struct rg_address address; /* fixed for the life of the process; the rest may change on reload */
    uint8_t proxy_mode;        /* enum rg_proxy_mode */
    uint16_t n_proxy_trusted;
    struct rg_prefix proxy_trusted[RG_TRUSTED_MAX]; /* whose PROXY headers are believed */
    struct rg_tls_settings tls;
    uint16_t redirect_status; /* to https; 0: what comes in the clear is served */
    uint16_t redirect_port;
    bool http2; /* its clients may speak HTTP/2 */
};

struct rg_control_settings { /* of the control plane, for the control thread alone */
    char url[256];           /* "": there is none */
    char token_file[256], ca_file[256], state_dir[256];
    bool insecure_skip_verify;
    uint32_t reconnect_initial_ms, reconnect_max_ms;
};

struct rg_settings {
    uint64_t generation;
    uint32_t descriptors; /* those of the datapath are numbered below this; 0: no reserve is kept above */

    /* fixed for the life of the process */
    uint16_t workers;
    bool pin_workers;
    uint16_t n_listeners;
    struct rg_listener_settings listeners[RG_LISTENERS_MAX];
    struct rg_tls_store *tls; /* what their files held; NULL: none speaks TLS. May change at any time */
    uint32_t backlog;
    uint8_t steering; /* enum rg_steering_mode */
    struct rg_address admin;
    bool admin_enabled;
    struct rg_control_settings control;
    uint64_t access_ring_bytes; /* per worker */

    /* may change on reload */
    struct rg_address replica;
    uint8_t replica_protocol;     /* enum rg_replica_protocol */
    uint8_t replica_sockmap;      /* enum rg_sockmap_mode */
    bool sockmap;                 /* ... and it can be had for this replica */
    int sockmap_marks;            /* then: the map in which a socket is marked for it; the control thread's */
    uint32_t replica_connections; /* most at once per worker; 0: no limit but descriptors */
    uint32_t replica_idle;        /* most idle kept per worker */
    uint32_t replica_idle_ms;
    struct rg_health_settings health;

    uint32_t client_head_ms, client_idle_ms, body_idle_ms, connect_ms, response_head_ms, drain_ms, drain_idle_ms,
        tunnel_idle_ms;

    uint32_t connections; /* client connections per process; 0: as many as descriptors allow */
    uint32_t head_bytes, field_bytes, target_bytes;
    uint16_t headers;
    uint64_t body_bytes;   /* 0: no limit */
    uint32_t body_rate;    /* least bytes/s of a request body after 10 s of grace; 0: off */
    uint64_t splice_bytes; /* a body with so much left goes through a pipe; 0: none does */
    uint64_t buffer_bytes; /* most memory for buffers per worker */
    uint8_t interim_responses;
    uint32_t h2_streams;        /* open at once on a connection */
    uint32_t h2_resets;         /* streams reset in a second, beyond those that were finished */
    uint32_t h2_control_frames; /* in 10 s, beyond those that moving data earns */
    bool allow_underscore;

    uint16_t n_trusted;
    struct rg_prefix trusted[RG_TRUSTED_MAX]; /* whose forwarding fields are believed */

    bool ticket_keys_on;
    char ticket_keys[256];       /* file with keys of TLS session tickets; "": the process makes its own */
    uint32_t ticket_lifetime_ms; /* how long a session can be resumed; keys of our own are renewed as often */

    char health_path[256]; /* answered by the gateway itself; "" : off */

    bool access_log;
    char access_log_path[256]; /* "-": standard output */
    uint8_t access_format;     /* enum rg_access_format */
    uint32_t access_sample;    /* every n-th exchange; 1: all */
    uint8_t log_level;         /* enum rg_log_level */
};

#endif
