/*
 * The connection to the control plane: dialled, kept, dialled again. libcurl makes TCP and TLS, the frames are those of
 * control/common/ws.h; what comes in is handed on as events, and reading never waits for what they lead to.
 *
 *   PAUSING -> CONNECTING -> UPGRADING -> GREETING -> UP
 *      ^           |             |           |        |
 *      +-----------+-------------+-----------+--------+     whatever ends it
 *
 * A gateway serves whether its control plane is there or not, so nothing here ever gives up: answers that no repetition
 * will change (a token that is not known) are loud, and tried again slowly.
 *
 * Owner: the agent. Thread: the control thread.
 */
#ifndef RG_AGENT_LINK_H
#define RG_AGENT_LINK_H

#include "control/agent/event.h"
#include "control/agent/remote.h"
#include "control/agent/transfers.h"
#include "control/common/ws.h"

#define RG_LINK_INPUT_MAX 8192 /* head of the answer to the upgrade */
#define RG_LINK_WHY_MAX   400
#define RG_LINK_INSTANCE  64 /* bytes of a name that platforms keep */

enum rg_link_state {
    RG_LINK_OFF,
    RG_LINK_PAUSING,    /* until the next try */
    RG_LINK_CONNECTING, /* TCP and TLS */
    RG_LINK_UPGRADING,  /* the request for a WebSocket is sent */
    RG_LINK_GREETING,   /* connection.ack is awaited */
    RG_LINK_UP
};

struct rg_link_handler {
    void (*up)(void *owner);                            /* gateway_id is known */
    void (*event)(void *owner, struct rg_event *event); /* while it is up */
    void (*down)(void *owner);                          /* after `up`; why is set */
};

struct rg_link {
    struct rg_loop *loop;
    struct rg_remote *remote;
    struct rg_transfers *transfers;
    const struct rg_link_handler *handler;
    void *owner;
    uint32_t initial_ms, most_ms, greeting_ms, silence_ms; /* of pauses, of connection.ack, without a ping */

    enum rg_link_state state;
    struct rg_transfer dial; /* holds the connection as long as there is one */
    struct rg_watch socket;  /* libcurl's descriptor, watched by us once it is connected; fd -1: not yet */
    bool wants_write;
    struct rg_alarm due;     /* the next try, or the end of patience */
    struct rg_alarm silence; /* looks whether pings come */
    struct rg_alarm later;   /* goes on with reading, sending or ending, outside of callbacks */
    struct rg_ws *ws;        /* from GREETING */
    bool ending;             /* `why` is set: let go of the connection in the next turn */
    char key[RG_WS_KEY_LEN + 1];
    char *request; /* UPGRADING: has the token, wiped */
    size_t request_len, sent, received;
    char input[RG_LINK_INPUT_MAX];

    unsigned failures;      /* in a row */
    bool refused;           /* the last answer is one that no repetition will change */
    bool has_no_token;      /* its file could not be read */
    uint64_t pause_most_ms; /* what a Retry-After asks for; 0: nothing */
    uint64_t up_since_ms, last_ping_ms, next_try_ms;
    const char *state_dir;                  /* the settings' */
    char instance[RG_LINK_INSTANCE + 1];    /* our name, as last told; "": never */
    char gateway_id[RG_ID_MAX + 1];         /* as last told; "": never */
    char why[RG_LINK_WHY_MAX];              /* it is not up */
    uint64_t *connects, *failed, *refusals; /* counters */
};

void rg_link_init(struct rg_link *l, struct rg_loop *loop, struct rg_remote *remote, struct rg_transfers *transfers,
                  const struct rg_control_settings *s);
void rg_link_start(struct rg_link *l); /* dials at once */
void rg_link_fini(struct rg_link *l);
/* Now and then: who was refused dials when its file has another token, not when the long wait is over. */
void rg_link_look_at_token(struct rg_link *l);

/* false: it is not up, or the message does not fit any more. */
bool rg_link_send(struct rg_link *l, struct rg_str text);
/* Begins anew: what was received makes no sense, or the like. */
void rg_link_break(struct rg_link *l, const char *why);

const char *rg_link_state_name(enum rg_link_state state);

/* ---- Between link.c and link_carry.c ---- */

int rg_link_carry_begin(struct rg_link *l); /* connected: asks for the WebSocket. Negative errno after `why`. */
void rg_link_carry_on(struct rg_link *l);   /* receives and sends what there is */
void rg_link_carry_end(struct rg_link *l);
void rg_link_take_message(struct rg_link *l, struct rg_str text);
void rg_link_note_ping(struct rg_link *l);
void rg_link_upgraded(struct rg_link *l);
void rg_link_answered(struct rg_link *l, const struct rg_ws_answer *answer); /* something else than 101 */

#endif
