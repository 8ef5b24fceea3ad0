/*
 * The scripted origin: an HTTP/1.1 server whose answers are told by the path and the query of each request. It stands
 * behind the gateway in the demo, in the end-to-end tests and in measurements; it shares no code with the gateway, so
 * that neither hides a mistake of the other.
 *
 * Threads: main owns the process (flags, signals); each rg_thread owns its epoll, its listeners and its clients, and a
 * client never leaves its thread. Shared are only the health switch (atomic), the tallies (a mutex per thread, taken
 * by the others only to read or reset them) and the sequence number of requests (atomic).
 */
#ifndef RG_ORIGIN_H
#define RG_ORIGIN_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "bench/common/start.h"
#include "bench/origin/request.h"

enum {
    RG_LISTEN_MAX = 16,        /* --listen, at most */
    RG_THREADS_MAX = 64,       /* --threads, at most */
    RG_IN_SIZE = 128 * 1024,   /* receive buffer of a client: a head, and a window of its body behind it */
    RG_OUT_SIZE = 64 * 1024,   /* send buffer of a client: everything of one turn leaves in one send */
    RG_TRAILERS_SIZE = 4096,   /* trailer section of a request */
    RG_TURN_SENDS = 16,        /* sends or receives of one client before the others get their turn */
    RG_RECENT = 128,           /* request lines that /stats shows, per thread */
    RG_RECENT_LINE = 480,      /* bytes kept of each */
    RG_CACHE_SIZES = 8,        /* answers of /bytes/N kept ready, per thread */
    RG_CACHE_BODY = 16 * 1024, /* the largest of them */
    RG_LINGER_MS = 1000,       /* how long a closing connection still reads, so that the peer can read our last bytes */
};

/* ---- a client, and the task that one request is ---- */

struct rg_client;
struct rg_thread;

enum rg_step {
    RG_STEP_NEXT,  /* this phase is over, go on */
    RG_STEP_READ,  /* needs more input */
    RG_STEP_WRITE, /* needs room in the send buffer */
    RG_STEP_WAIT,  /* waits for its timer, or for nothing; the peer's closing ends it */
    RG_STEP_DONE,  /* the exchange is over, the connection stays */
    RG_STEP_CLOSE, /* send what is there, then close with FIN */
    RG_STEP_RESET, /* send what is there, then close with RST */
    RG_STEP_BAD,   /* the request's body is malformed */
};

typedef enum rg_step (*rg_step_fn)(struct rg_client *c);

enum rg_phase {
    RG_PHASE_DELAY,
    RG_PHASE_INTERIM,
    RG_PHASE_HEAD,
    RG_PHASE_PAUSE,
    RG_PHASE_BODY,
    RG_PHASE_TRAILERS,
    RG_PHASE_DRAIN,
    RG_PHASE_END,
};

enum rg_then { RG_THEN_KEEP, RG_THEN_CLOSE, RG_THEN_RESET };

/* The response as it will be sent; filled by a handler, carried out by send.c. */
struct rg_plan {
    enum rg_phase phase;
    uint64_t delay_ms, pause_ms; /* before the head; between head and body */
    uint64_t interim_left;       /* 103 responses still to send */
    char *head;                  /* heap: status line and fields, or raw bytes */
    size_t head_n, head_off;
    uint64_t head_drip, head_drip_ms;
    char *body; /* heap; NULL: the pattern */
    uint64_t body_n, body_off;
    bool chunked;
    uint64_t chunk, chunk_left; /* size of a chunk; what is left of the open one */
    uint64_t drip, drip_ms, drip_left;
    bool cut; /* end the connection after cut_after bytes of body */
    uint64_t cut_after;
    enum rg_then cut_how;
    char *trailers; /* heap, NULL: none */
    enum rg_then then;
};

struct rg_upload {
    uint64_t count, hash, at, slow, slow_ms, slow_left;
    bool pattern, hashing, has_at;
    char *data; /* heap: a body that is collected */
    size_t data_n, data_size;
};

struct rg_ws {
    uint64_t left; /* of the payload of the frame that is being echoed */
    uint64_t at;   /* its offset, for the mask */
    uint8_t mask[4];
};

enum rg_chunk_state { RG_CHUNK_SIZE, RG_CHUNK_DATA, RG_CHUNK_DATA_END, RG_CHUNK_TRAILERS, RG_CHUNK_DONE };

struct rg_task {
    rg_step_fn step;
    const struct rg_route *route;
    uint64_t seq; /* its number over all threads; 0: not recorded */
    uint64_t wake_at;
    bool waiting; /* wake_at counts */
    bool started; /* something of the response is in the send buffer or gone */
    bool keep;
    bool owes_continue; /* the client waits for 100 Continue */
    bool slow_receive;
    /* body of the request */
    uint64_t body_left, body_seen;
    enum rg_chunk_state chunk;
    size_t body_base; /* offset in the receive buffer where the body's window begins */
    size_t trailers_n;
    bool body_done;
    struct rg_plan plan;
    struct rg_upload up;
    struct rg_ws ws;
    struct rg_request req;
    char trailers[RG_TRAILERS_SIZE];
};

enum rg_source_kind { RG_SOURCE_LISTENER, RG_SOURCE_WAKE, RG_SOURCE_CLIENT };

struct rg_source {
    enum rg_source_kind kind;
    int fd;
};

enum rg_client_state { RG_CLIENT_IDLE, RG_CLIENT_BUSY, RG_CLIENT_CLOSING, RG_CLIENT_LINGER };

struct rg_client {
    struct rg_source source; /* first: epoll gives it back */
    struct rg_thread *thread;
    LIST_ENTRY(rg_client) all;
    TAILQ_ENTRY(rg_client) run;
    enum rg_client_state state;
    enum rg_then end; /* in RG_CLIENT_CLOSING: how, once everything is sent */
    bool readable, writable, peer_gone, in_run, wants_out, abrupt;
    unsigned timer_slot; /* 1 + index in the heap; 0: no timer */
    uint64_t timer_at;
    uint64_t id, nth; /* connection number; requests seen on it */
    size_t in_off, in_n, out_off, out_n;
    struct rg_task task;
    char in[RG_IN_SIZE];
    char out[RG_OUT_SIZE];
};

/* Ends what the request held (heap parts); the client goes on. */
void rg_task_fini(struct rg_task *t);

/* ---- the server ---- */

enum rg_health {
    RG_HEALTHY,
    RG_UNHEALTHY,
    RG_STARTING,
    RG_WAITING_FOR_CERTIFIED_STATE,
    RG_WAITING_FOR_ROOT_DELEGATION,
    RG_CERTIFIED_STATE_BEHIND,
    RG_DOWN,
    RG_HEALTH_COUNT,
};

struct rg_recent {
    uint64_t seq, connection, nth, body;
    uint16_t n;
    bool complete, malformed;
    char line[RG_RECENT_LINE];
};

enum { RG_ROUTES_MAX = 16 };

struct rg_tally {
    pthread_mutex_t lock;
    uint64_t requests, status_requests, malformed, truncated, aborted, accepted, open;
    uint64_t by_route[RG_ROUTES_MAX];
    unsigned next;
    struct rg_recent recent[RG_RECENT];
};

struct rg_ready {
    uint64_t n;
    size_t len;
    char *data;
};

struct rg_server;

struct rg_thread {
    struct rg_server *server;
    pthread_t id;
    int epoll, spare_fd; /* the spare lets a refused client be accepted and closed when descriptors run out */
    struct rg_source wake;
    struct rg_source listeners[RG_LISTEN_MAX];
    uint64_t now_ms;
    bool woken;
    LIST_HEAD(, rg_client) clients;
    LIST_HEAD(, rg_client) spare_clients;
    TAILQ_HEAD(, rg_client) run;
    struct rg_client **timers; /* binary heap by timer_at */
    unsigned n_clients, n_timers, timers_size;
    int64_t date_s;
    char date[30]; /* IMF-fixdate */
    unsigned n_ready;
    struct rg_ready ready[RG_CACHE_SIZES];
    struct rg_tally tally;
};

struct rg_listen_address {
    const char *text; /* as given */
    struct rg_bench_address address;
};

struct rg_server {
    struct rg_listen_address listen[RG_LISTEN_MAX];
    unsigned n_listen, n_threads;
    uint64_t idle_close_ms, max_requests;
    bool silent_close, quiet;
    const char *port_file;
    _Atomic int health;
    _Atomic bool stop;
    _Atomic uint64_t next_seq, next_connection;
    struct rg_thread *threads;
};

/* listen.c: opens address n for every thread and prints it. Negative errno after an error was written to stderr. */
int rg_listen_open(struct rg_server *s, unsigned n, FILE *port_file);
void rg_listen_close(struct rg_server *s);

/* worker.c */
int rg_thread_init(struct rg_thread *t); /* all of them before the first starts: they wake each other */
int rg_thread_start(struct rg_thread *t);
void rg_thread_fini(struct rg_thread *t); /* after it was joined, if it was started; also half-built */
void rg_server_wake(struct rg_server *s);

/* client.c: what happens on one connection */
void rg_client_accept(struct rg_thread *t, int fd);
void rg_client_run(struct rg_client *c);
void rg_client_timer(struct rg_client *c);
void rg_client_free(struct rg_client *c); /* the only way out; closes at once */

/* timer.c: one timer per client */
void rg_timer_set(struct rg_client *c, uint64_t at);
void rg_timer_clear(struct rg_client *c);
struct rg_client *rg_timer_take_due(struct rg_thread *t);
int rg_timer_wait(const struct rg_thread *t); /* milliseconds for epoll_wait */
bool rg_timer_reserve(struct rg_thread *t);   /* room for one more client */

/* body.c: the request's body, pulled piece by piece */
enum rg_body { RG_BODY_DATA, RG_BODY_MORE, RG_BODY_END, RG_BODY_BAD };
void rg_body_start(struct rg_client *c);
void rg_body_continue(struct rg_client *c); /* 100 Continue, when the client still waits for one */
enum rg_body rg_body_pull(struct rg_client *c, size_t max, struct rg_view *ret);

/* send.c: the response */
size_t rg_out_room(struct rg_client *c);
void rg_out_add(struct rg_client *c, const void *data, size_t n); /* the caller has asked for the room */
const char *rg_reason(unsigned status);
void rg_send_head_start(struct rg_client *c, FILE *out, unsigned minor, unsigned status);
void rg_send_head_end(struct rg_client *c, FILE *out, bool http10);
/* Answers with text as the whole body, taking ownership of it (heap). */
enum rg_step rg_send_text(struct rg_client *c, unsigned status, const char *type, char *text, size_t n);
enum rg_step rg_send_short(struct rg_client *c, unsigned status, const char *text);
enum rg_step rg_send_step(struct rg_client *c);
enum rg_step rg_send_wait(struct rg_client *c, uint64_t ms); /* NEXT when the time is over */

/* script.c: from path to handler */
struct rg_route {
    const char *prefix;
    rg_step_fn handler;
    bool exact, control; /* control: neither counted nor refused while down */
};
unsigned rg_route_count(void);
const struct rg_route *rg_route_at(unsigned i);
const struct rg_route *rg_route_find(struct rg_view path);
unsigned rg_route_index(const struct rg_route *route);
enum rg_step rg_script_begin(struct rg_client *c);
const char *rg_health_name(int health); /* status.c */

/* handlers: status.c, bytes.c, upload.c, ws.c, stats.c */
enum rg_step rg_status_handle(struct rg_client *c);
enum rg_step rg_control_handle(struct rg_client *c);
enum rg_step rg_bytes_handle(struct rg_client *c);
enum rg_step rg_http10_handle(struct rg_client *c);
enum rg_step rg_raw_handle(struct rg_client *c);
enum rg_step rg_echo_handle(struct rg_client *c);
enum rg_step rg_sink_handle(struct rg_client *c);
enum rg_step rg_inspect_handle(struct rg_client *c);
enum rg_step rg_ws_handle(struct rg_client *c);
enum rg_step rg_stats_handle(struct rg_client *c);

/* stats.c */
void rg_tally_request(struct rg_client *c);
void rg_tally_finish(struct rg_client *c, bool complete);
void rg_tally_malformed(struct rg_client *c, struct rg_view line);
void rg_tally_add(struct rg_thread *t, uint64_t *counter, int64_t by);

#endif
