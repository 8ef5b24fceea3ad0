/*
 * The replica's health: a probe of health.path at a fixed interval, judged by its status or by what it says of itself.
 * The verdict stands in struct rg_replica, where workers read it; they in turn report connects that fail.
 *
 * Ownership: one probe at a time, its socket and buffer are the prober's. Thread: the control thread.
 */
#ifndef RG_GATEWAY_HEALTH_H
#define RG_GATEWAY_HEALTH_H

#include "control/common/loop.h"
#include "datapath/http/h1_framing.h"
#include "datapath/replica.h"

#define RG_HEALTH_HEAD_MAX 16384
#define RG_HEALTH_BODY_MAX 65536
#define RG_HEALTH_INPUT    (RG_HEALTH_HEAD_MAX + 2 * RG_HEALTH_BODY_MAX) /* a chunked body comes with its chunk lines */
#define RG_HEALTH_WHY_MAX  192

/* ---- health_verdict.c: judging an answer. Pure. ---- */

struct rg_health_answer {
    uint16_t status;
    struct rg_str content_type;
    struct rg_str body;
};

/* true: healthy. Otherwise `why` says what was found and what was expected. */
bool rg_health_judge(const struct rg_health_settings *s, const struct rg_health_answer *a, char *why, size_t why_len);

/* ---- health.c ---- */

enum rg_probe_state { RG_PROBE_IDLE, RG_PROBE_CONNECTING, RG_PROBE_SENDING, RG_PROBE_READING };

struct rg_prober {
    struct rg_loop *loop;
    struct rg_replica *replica;
    struct rg_address address;
    struct rg_health_settings settings;
    uint8_t protocol;         /* enum rg_replica_protocol */
    struct rg_probe_h2c *h2c; /* of the probe, when it speaks HTTP/2 */
    uint64_t *ok, *failed;    /* counters, may be NULL */

    enum rg_probe_state state;
    struct rg_watch socket;
    struct rg_alarm next, timeout;
    uint64_t started_ms;
    bool skipping;               /* the last probe could not even begin, for want of something of our own */
    unsigned good, bad;          /* results in a row */
    uint64_t seen_generation;    /* of the replica's state, as last reported */
    char why[RG_HEALTH_WHY_MAX]; /* of the last failure */

    char host[128];
    char request[768];
    size_t request_len, sent;
    char *input; /* RG_HEALTH_INPUT */
    size_t received, head_len, body_len;
    struct rg_h1_resume resume;
    struct rg_framing framing;
    struct rg_chunked chunked;
    char *trailers; /* RG_TRAILER_MAX */
    uint16_t status;
    struct rg_str content_type; /* in input */
};

int rg_prober_init(struct rg_prober *p, struct rg_loop *loop, struct rg_replica *replica); /* -ENOMEM */
void rg_prober_fini(struct rg_prober *p);

/* First probe at once, again after every change of address or settings. */
void rg_prober_configure(struct rg_prober *p, const struct rg_settings *s);

/* Looks whether workers found the replica down; to be called every now and then. */
void rg_prober_tick(struct rg_prober *p);

#endif
