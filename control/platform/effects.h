/*
 * What is to happen outside of the database once a transaction is committed: an ordered list. Never carried out for a
 * transaction that was rolled back.
 *
 * Owner: whoever calls init. Thread: filled on the store's, handed over with the job, carried out on the loop's.
 */
#ifndef RG_PLATFORM_EFFECTS_H
#define RG_PLATFORM_EFFECTS_H

#include <stdbool.h>
#include <stddef.h>

#include "control/common/ids.h"

enum rg_effect_kind {
    RG_EFFECT_SEND,          /* text as one frame to every connection of the gateway `target` */
    RG_EFFECT_CLOSE_TOKEN,   /* close the connections and streams that came with the token `target` */
    RG_EFFECT_CLOSE_GATEWAY, /* close the connections of the gateway `target` */
    RG_EFFECT_NOTICE,        /* text is JSON for the Server-Sent Events of the organization `target` */
    RG_EFFECT_WAKE_SWEEPER   /* something now waits for an acknowledgement */
};

struct rg_effect {
    struct rg_effect *next;
    enum rg_effect_kind kind;
    char target[RG_UUID_LEN + 1];
    size_t len;
    char text[]; /* len bytes and a NUL */
};

struct rg_effects {
    struct rg_effect *first, **end;
    size_t count;
    bool lost; /* memory ran out: the transaction must not be committed */
};

void rg_effects_init(struct rg_effects *effects);
void rg_effects_fini(struct rg_effects *effects);

/* text may be NULL. Without memory the list is marked as lost. */
void rg_effects_add(struct rg_effects *effects, enum rg_effect_kind kind, const char *target, const char *text);

/* Moves everything of `from` to the end of `to`. */
void rg_effects_move(struct rg_effects *to, struct rg_effects *from);

#endif
