/*
 * What a client may cost without getting anything done. Streams that are reset: the work for them was begun in vain
 * (rapid reset, CVE-2023-44487), also when the client makes us reset them (CVE-2025-8671). Frames that move nothing:
 * SETTINGS, PING, PRIORITY, WINDOW_UPDATE, empty DATA. Honest clients send such frames with the data they move, so
 * moving data earns some. See h2_parts.h.
 */
#include "datapath/h2/h2_parts.h"

#define FORGIVE_MS     10000 /* so often the budget of control frames is full again */
#define CONTROL_A_STEP 4     /* earned by each frame of data of STEP_BYTES, or of all that there was to send */
#define STEP_BYTES     1024u
#define SECOND_US      1000000u

void rg_h2_budget_init(struct rg_h2 *h2)
{
    h2->budget = (struct rg_h2_budget){.since_ms = h2->w->now_ms, .control = h2->w->settings->h2_control_frames};
}

void rg_h2_count_reset(struct rg_h2 *h2)
{
    struct rg_h2_budget *b = &h2->budget;
    uint64_t second = h2->w->now_us / SECOND_US;
    rg_metric_add(h2->w->metrics, RG_M_H2_RESETS, 1);
    if (b->second != second) {
        b->second = second;
        b->resets = 0;
    }
    if (++b->resets > (int32_t)h2->w->settings->h2_resets)
        rg_h2_terminate(h2, NGHTTP2_ENHANCE_YOUR_CALM, RG_REASON_H2_RESETS);
}

void rg_h2_count_finished(struct rg_h2 *h2)
{
    struct rg_h2_budget *b = &h2->budget;
    if (b->second == h2->w->now_us / SECOND_US)
        b->resets--;
    rg_h2_count_work(h2, STEP_BYTES, false);
}

void rg_h2_count_control(struct rg_h2 *h2)
{
    struct rg_h2_budget *b = &h2->budget;
    if (h2->w->now_ms - b->since_ms >= FORGIVE_MS) {
        b->since_ms = h2->w->now_ms;
        b->control = h2->w->settings->h2_control_frames;
    }
    if (b->control == 0)
        rg_h2_terminate(h2, NGHTTP2_ENHANCE_YOUR_CALM, RG_REASON_H2_FLOOD);
    else
        b->control--;
}

void rg_h2_count_work(struct rg_h2 *h2, uint32_t bytes, bool all)
{
    struct rg_h2_budget *b = &h2->budget;
    if ((bytes >= STEP_BYTES || all) && b->control < h2->w->settings->h2_control_frames)
        b->control += CONTROL_A_STEP;
}
