/*
 * What becomes of one deployment on its way to being live, as a table: states, what may happen in each, what is done
 * then. Pure; the agent (agent.h) does what the table says.
 *
 * An order is what the control plane wants of an artifact: that this deployment is live, or that it is not. A newer
 * order for the same artifact takes the place of one that is still being fetched; what has been published already goes
 * its way to the acknowledgement, because it was live.
 *
 *   QUEUED ----> FETCHING ----> HELD ----> READY ----> SWITCHING ----> SAVING ----> done
 *                                                          |             ^
 *                                                          +--> LATE ----+
 */
#ifndef RG_AGENT_DEPLOYMENT_H
#define RG_AGENT_DEPLOYMENT_H

enum rg_order_state {
    RG_ORDER_QUEUED,    /* waits for its turn to be fetched */
    RG_ORDER_FETCHING,  /* the definition, then the secrets it names */
    RG_ORDER_HELD,      /* complete; what it is compiled against is still being fetched */
    RG_ORDER_READY,     /* compiled, or nothing to compile: goes into the next snapshot */
    RG_ORDER_SWITCHING, /* in a snapshot that was published */
    RG_ORDER_LATE,      /* the same, and a worker takes too long */
    RG_ORDER_SAVING,    /* all workers have it; on its way to the disk */
    RG_ORDER_DONE,
    RG_ORDER_STATES
};

enum rg_order_news {
    RG_NEWS_TURN,  /* there is room for a fetch */
    RG_NEWS_AGAIN, /* what was to be fetched with others has to be fetched alone */
    RG_NEWS_FETCHED,
    RG_NEWS_COMPILED,
    RG_NEWS_FAILED, /* the fetch, the definition, or a conflict with another artifact */
    RG_NEWS_PUBLISHED,
    RG_NEWS_OVERDUE, /* a worker has not switched in time */
    RG_NEWS_SWITCHED,
    RG_NEWS_SAVED, /* or could not be: it is live all the same */
    RG_NEWS_NEWER, /* a newer order for the same artifact */
    RG_NEWS
};

enum rg_order_act {
    RG_ACT_REFUSE, /* this can't happen in this state: a programming error */
    RG_ACT_NOTHING,
    RG_ACT_FETCH,
    RG_ACT_COMPILE,
    RG_ACT_SAVE,
    RG_ACT_ACK_SUCCESS,
    RG_ACT_ACK_FAILURE,
    RG_ACT_DROP /* without a word: a newer one has taken its place */
};

struct rg_order_step {
    enum rg_order_state next;
    enum rg_order_act act;
};

struct rg_order_step rg_order_step(enum rg_order_state state, enum rg_order_news news);
const char *rg_order_state_name(enum rg_order_state state); /* "fetching" */

#endif
