/* Counting what is rare, and adding up. Thread: the worker's, and main after its end. */
#include "bench/load/tally.h"

#include <string.h>

const char *rg_error_name(enum rg_error e)
{
    static const char *const names[RG_ERROR_COUNT] = {
        [RG_ERROR_CONNECT] = "connect", [RG_ERROR_READ] = "read",       [RG_ERROR_WRITE] = "write",
        [RG_ERROR_STATUS] = "status",   [RG_ERROR_TIMEOUT] = "timeout", [RG_ERROR_PROTOCOL] = "protocol",
    };
    return names[e];
}

uint64_t rg_tally_errors(const struct rg_tally *t)
{
    uint64_t n = 0;
    for (int i = 0; i < RG_ERROR_COUNT; i++)
        n += t->errors[i];
    return n;
}

void rg_tally_note(struct rg_tally *t, enum rg_error e, const char *what)
{
    if (t->errors[e]++ == 0)
        t->first[e] = what;
}

void rg_tally_restart(struct rg_tally *t)
{
    uint64_t warmup = t->requests, connects = t->errors[RG_ERROR_CONNECT];
    const char *first = t->first[RG_ERROR_CONNECT];
    struct rg_tls_names tls = t->tls;
    memset(t, 0, sizeof *t);
    t->warmup_requests = warmup;
    t->errors[RG_ERROR_CONNECT] = connects;
    t->first[RG_ERROR_CONNECT] = first;
    t->tls = tls;
}

void rg_tally_merge(struct rg_tally *into, const struct rg_tally *from)
{
    into->requests += from->requests;
    into->bytes_in += from->bytes_in;
    into->bytes_out += from->bytes_out;
    for (int i = 0; i < RG_ERROR_COUNT; i++) {
        into->errors[i] += from->errors[i];
        into->first[i] = into->first[i] ? into->first[i] : from->first[i];
    }
    into->behind_requests += from->behind_requests;
    into->reconnects += from->reconnects;
    into->enters += from->enters;
    into->warmup_requests += from->warmup_requests;
    into->unfinished += from->unfinished;
    into->unsent += from->unsent;
    into->backlog_begin += from->backlog_begin;
    into->backlog_end += from->backlog_end;
    into->begin = into->begin && into->begin < from->begin ? into->begin : from->begin;
    into->end = into->end > from->end ? into->end : from->end;
    into->cpu_user += from->cpu_user;
    into->cpu_system += from->cpu_system;
    rg_histogram_merge(&into->latency, &from->latency);
    rg_histogram_merge(&into->connect, &from->connect);
    rg_histogram_merge(&into->behind, &from->behind);
    rg_histogram_merge(&into->full, &from->full);
    rg_histogram_merge(&into->resumed, &from->resumed);
    if (!into->tls.version)
        into->tls = from->tls;
}
