/* See deployment.h: a row for each state and each news that means something there; all else changes nothing. */
#include "control/agent/deployment.h"

/* What is not listed can't happen: RG_ACT_REFUSE. */
/* clang-format off */
#define STEP(state, act) {RG_ORDER_##state, RG_ACT_##act}
static const struct rg_order_step steps[RG_ORDER_STATES][RG_NEWS] = {
    [RG_ORDER_QUEUED] = {
        [RG_NEWS_TURN]      = STEP(FETCHING, FETCH),
        [RG_NEWS_COMPILED]  = STEP(READY, NOTHING), /* an undeployment: nothing to fetch */
        [RG_NEWS_FAILED]    = STEP(DONE, ACK_FAILURE),
        [RG_NEWS_NEWER]     = STEP(DONE, DROP),
    },
    [RG_ORDER_FETCHING] = {
        [RG_NEWS_AGAIN]     = STEP(QUEUED, NOTHING),
        [RG_NEWS_FETCHED]   = STEP(HELD, COMPILE),
        [RG_NEWS_FAILED]    = STEP(DONE, ACK_FAILURE),
        [RG_NEWS_NEWER]     = STEP(DONE, DROP),
    },
    [RG_ORDER_HELD] = {
        [RG_NEWS_FETCHED]   = STEP(HELD, COMPILE), /* what it waited for has come */
        [RG_NEWS_COMPILED]  = STEP(READY, NOTHING),
        [RG_NEWS_FAILED]    = STEP(DONE, ACK_FAILURE),
        [RG_NEWS_NEWER]     = STEP(DONE, DROP),
    },
    [RG_ORDER_READY] = {
        [RG_NEWS_FAILED]    = STEP(DONE, ACK_FAILURE), /* its routes are another artifact's */
        [RG_NEWS_PUBLISHED] = STEP(SWITCHING, NOTHING),
        [RG_NEWS_NEWER]     = STEP(DONE, DROP),
    },
    [RG_ORDER_SWITCHING] = {
        [RG_NEWS_OVERDUE]   = STEP(LATE, ACK_FAILURE), /* the snapshot stays published */
        [RG_NEWS_SWITCHED]  = STEP(SAVING, SAVE),
        [RG_NEWS_NEWER]     = STEP(SWITCHING, NOTHING),
    },
    [RG_ORDER_LATE] = {
        [RG_NEWS_OVERDUE]   = STEP(LATE, NOTHING),
        [RG_NEWS_SWITCHED]  = STEP(SAVING, SAVE), /* a success takes the failure back */
        [RG_NEWS_NEWER]     = STEP(LATE, NOTHING),
    },
    [RG_ORDER_SAVING] = {
        [RG_NEWS_OVERDUE]   = STEP(SAVING, NOTHING),
        [RG_NEWS_SWITCHED]  = STEP(SAVING, NOTHING),
        [RG_NEWS_SAVED]     = STEP(DONE, ACK_SUCCESS),
        [RG_NEWS_NEWER]     = STEP(SAVING, NOTHING),
    },
};
#undef STEP
/* clang-format on */

struct rg_order_step rg_order_step(enum rg_order_state state, enum rg_order_news news)
{
    return steps[state][news];
}

const char *rg_order_state_name(enum rg_order_state state)
{
    static const char *const names[RG_ORDER_STATES] = {
        [RG_ORDER_QUEUED] = "queued", [RG_ORDER_FETCHING] = "fetching",   [RG_ORDER_HELD] = "waiting",
        [RG_ORDER_READY] = "ready",   [RG_ORDER_SWITCHING] = "switching", [RG_ORDER_LATE] = "late",
        [RG_ORDER_SAVING] = "saving", [RG_ORDER_DONE] = "done",
    };
    return names[state];
}
