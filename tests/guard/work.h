/*
 * The work that the instruction guard counts: what the gateway does with one request and its response, without sockets,
 * buffers and allocation. Pure, deterministic. Thread: main.
 */
#ifndef RG_GUARD_WORK_H
#define RG_GUARD_WORK_H

#include "datapath/http/h1_write.h"
#include "tests/guard/record.h"

#define RG_WORK_ROOM 65536

struct rg_work {
    struct rg_rand rand;
    uint64_t unix_ms;
    char request[RG_WORK_ROOM], response[RG_WORK_ROOM]; /* heads and chunked bodies as they go out */
    size_t request_len, response_len;
    const char *failed; /* the step that refused, NULL: none */
    enum rg_reason reason;
};

/* Always the same start, so that the same ids are made. */
void rg_work_init(struct rg_work *w);

/* One record. false: w->failed says at what. */
bool rg_work_one(struct rg_work *w, const struct rg_record *r);

/* All of them: collection of instructions is switched on by entering this function. Returns how many went through. */
size_t rg_guard_work(struct rg_work *w, const struct rg_record *records, size_t n);

#endif
