/*
 * The access log: takes the workers' records from their rings, formats them as JSON lines and appends them to a file or
 * to standard output, in batches. It never waits for a slow reader: what it can't write stays in the rings, and what
 * finds a full ring is dropped and counted by the worker.
 *
 * Ownership: the rings are borrowed from the gateway. Thread: the control thread.
 */
#ifndef RG_GATEWAY_ACCESS_WRITER_H
#define RG_GATEWAY_ACCESS_WRITER_H

#include <sys/types.h>

#include "datapath/access_log.h"
#include "datapath/settings.h"

#define RG_ACCESS_TICK_MS    50
#define RG_ACCESS_BATCH      65536         /* written at once when that much is ready */
#define RG_ACCESS_RECORD_MAX (384u * 1024) /* fifteen strings of 4 KiB, six bytes for each of theirs, and the rest */

/* One record as a JSON line with its line feed. out holds at least RG_ACCESS_RECORD_MAX bytes. Returns the length. */
size_t rg_access_format(const struct rg_access_record *record, char *out);

struct rg_access_writer {
    int fd; /* -1: closed or off */
    bool on;
    bool failing;   /* the last write or open failed; logged once */
    bool torn;      /* a line was cut by a failure: the next write starts with a line feed */
    bool may_block; /* not a regular file: written only as far as it takes without waiting */
    bool is_stdout;
    char path[256];
    dev_t dev;
    ino_t ino;
    uint64_t looked_ms;   /* when the path was last compared with what is open */
    uint64_t *lost;       /* counter of records that could not be written */
    uint64_t lost_before; /* what it was when the present failure began */
    struct rg_access_ring *rings[RG_WORKERS_MAX];
    uint16_t n_rings;
    char *buf; /* RG_ACCESS_BATCH + RG_ACCESS_RECORD_MAX */
    size_t used, sent;
};

/* Negative errno without memory. lost counts, it outlives the writer. */
int rg_access_writer_init(struct rg_access_writer *w, uint64_t *lost);
void rg_access_writer_add_ring(struct rg_access_writer *w, struct rg_access_ring *ring);

/* On, off or another path, as the settings say. A path that can't be opened is logged, with the remedy, and tried again
 * as long as there are records.
 */
void rg_access_writer_configure(struct rg_access_writer *w, const struct rg_settings *s);

void rg_access_writer_tick(struct rg_access_writer *w);
void rg_access_writer_reopen(struct rg_access_writer *w); /* after the file was renamed */

/* Writes all that the rings hold, as far as that goes without waiting. After the workers have ended: the rest. */
void rg_access_writer_flush(struct rg_access_writer *w);
void rg_access_writer_fini(struct rg_access_writer *w);

#endif
