/*
 * The platform's program: the store and its thread, the server behind the front, and who is connected. The front is a
 * gateway whose replica is that server, over a UNIX socket of this process (docs/adr/0017).
 *
 *   request   front -> http server -> calls.c -> a job on the store's thread -> answer and effects
 *   gateway   the same, then upgraded: links.c keeps its WebSocket, its heartbeat and its acknowledgements
 *   effects   hub.h: events to gateways and to streams, connections that end
 *
 * Thread: the control thread, but for the jobs' `run`.
 */
#ifndef RG_PLATFORM_PLATFORM_H
#define RG_PLATFORM_PLATFORM_H

#include "control/common/http_server.h"
#include "control/gateway/gateway.h"
#include "control/platform/hub.h"
#include "control/platform/metrics.h"
#include "control/platform/options.h"
#include "control/platform/sessions.h"
#include "control/platform/store.h"

#define RG_PLATFORM_CONNECT_PATH "/api/internal/v1/ws/gateways/connect"

struct rg_platform {
    const struct rg_platform_flags *flags;
    struct rg_platform_settings settings;
    struct rg_gateway_program program;
    struct rg_gateway front;
    struct rg_address inside; /* where the server behind the front listens */
    struct rg_store *store;
    struct rg_store_thread *thread;
    struct rg_watch jobs; /* the thread's descriptor */
    struct rg_http_server http;
    uint64_t requests, refused; /* of http */
    struct rg_hub *hub;
    struct rg_list links;   /* gateways' connections, the next one to be pinged first */
    struct rg_list unended; /* those whose end could not be handed to the store yet */
    struct rg_list streams; /* of Server-Sent Events */
    struct rg_alarm sweep, pings, stream_pings;
    bool sweeping; /* a job of it is under way */
    bool draining;
    uint64_t pings_lost; /* gateways that were silent for too long */
    uint64_t turned_away[RG_TURNED_AWAY_REASONS];
};

/* ---- platform.c ---- */

int rg_platform_run(const struct rg_platform_flags *flags, const struct rg_platform_settings *settings);

/* Carries effects out; they are emptied. */
void rg_platform_apply(struct rg_platform *p, struct rg_effects *effects);

/* ---- calls.c ---- */

void rg_platform_handle(struct rg_http_server *s, struct rg_http_call *call, const struct rg_http_request *req);
/* Sends an answer of the API as that of the call, which it ends; not one that goes on as a stream. */
void rg_platform_reply(struct rg_http_call *call, const struct rg_api_answer *answer);
/* Answers by an error of the shape that the API of the call's path has. */
void rg_platform_refuse(struct rg_http_call *call, unsigned status, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Of one kind each: no memory, no room among what waits for the database. */
void rg_platform_refuse_memory(struct rg_http_call *call);
void rg_platform_refuse_busy(struct rg_http_call *call);

/* ---- streams.c: Server-Sent Events ---- */

void rg_platform_stream(struct rg_platform *p, struct rg_http_call *call, const struct rg_api_answer *who);
void rg_platform_init_streams(struct rg_platform *p);
void rg_platform_end_streams(struct rg_platform *p);

/* ---- links.c: gateways' connections ---- */

void rg_platform_connect(struct rg_platform *p, struct rg_http_call *call, const struct rg_http_request *req);
void rg_platform_init_links(struct rg_platform *p);
void rg_platform_end_links(struct rg_platform *p);    /* the platform ends: they are told */
void rg_platform_forget_links(struct rg_platform *p); /* after the store's thread: those that it did not take */

/* ---- certificate.c ---- */

/* Makes a certificate for this machine and its key, unless both files are there. Negative errno; why says what failed.
 */
int rg_platform_make_certificate(const char *cert, const char *key, char *why, size_t size);

#endif
