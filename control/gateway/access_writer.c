/* See access_writer.h: the file, what is written to it, and the rings that it comes from. */
#include "control/gateway/access_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/common/descriptors.h"
#include "control/common/loop.h"
#include "control/gateway/access_trouble.h"
#include "datapath/base/log.h"

#define RECORDS_PER_TICK 65536 /* of one ring, so that a busy worker can't hold the control thread */
#define LOOK_EVERY_MS    1000  /* how often the path is compared with what is open */

int rg_access_writer_init(struct rg_access_writer *w, uint64_t *lost)
{
    *w = (struct rg_access_writer){.fd = -1, .lost = lost};
    w->buf = malloc(RG_ACCESS_BATCH + RG_ACCESS_RECORD_MAX);
    return w->buf ? 0 : -ENOMEM;
}

void rg_access_writer_add_ring(struct rg_access_writer *w, struct rg_access_ring *ring)
{
    w->rings[w->n_rings++] = ring;
}

/* ---- The file ---- */

static void close_file(struct rg_access_writer *w)
{
    if (w->fd >= 0 && !w->is_stdout)
        close(w->fd);
    w->fd = -1;
}

/* Logged once; the end of it says how many records it has cost. Before they are counted. */
static void report_failure(struct rg_access_writer *w, const char *what, int error)
{
    char remedy[RG_ACCESS_REMEDY_MAX];
    if (w->failing)
        return;
    rg_error("access log: can't %s, records are being lost path=%s error=\"%s\" remedy=\"%s\"", what, w->path,
             strerror(error), rg_access_remedy(w->path, error, remedy));
    w->failing = true;
    w->lost_before = *w->lost;
}

static void report_success(struct rg_access_writer *w)
{
    if (w->failing)
        rg_info("access log: written again path=%s lost=%" PRIu64, w->path, *w->lost - w->lost_before);
    w->failing = false;
}

/* It is not tried any more, whether or not it would work by now. */
static void report_end(struct rg_access_writer *w)
{
    if (w->failing)
        rg_warn("access log: given up without having been written again path=%s lost=%" PRIu64, w->path,
                *w->lost - w->lost_before);
    w->failing = false;
}

static bool open_file(struct rg_access_writer *w)
{
    struct stat st;
    w->is_stdout = rg_access_is_stdout(w->path);
    /* O_NONBLOCK: a FIFO without a reader is an error, not a wait. */
    w->fd = w->is_stdout ? STDOUT_FILENO
                         : rg_descriptors_open(AT_FDCWD, w->path,
                                               O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
    if (w->fd < 0 || fstat(w->fd, &st) < 0) {
        report_failure(w, "open", errno);
        close_file(w);
        return false;
    }
    w->may_block = !S_ISREG(st.st_mode);
    w->torn = w->torn && st.st_dev == w->dev && st.st_ino == w->ino; /* else the line's end would be a line */
    w->dev = st.st_dev;
    w->ino = st.st_ino;
    w->looked_ms = rg_now_ms();
    return true;
}

/* logrotate without a signal: the path names another file now, or none. */
static void follow_path(struct rg_access_writer *w)
{
    struct stat st;
    uint64_t now = rg_now_ms();
    if (w->fd < 0 || w->is_stdout || now - w->looked_ms < LOOK_EVERY_MS)
        return;
    w->looked_ms = now;
    if (stat(w->path, &st) < 0 || st.st_dev != w->dev || st.st_ino != w->ino)
        rg_access_writer_reopen(w);
}

/* ---- Writing ---- */

static size_t count_lines(const char *text, size_t len)
{
    size_t n = 0;
    for (const char *end = text + len; (text = memchr(text, '\n', (size_t)(end - text))) != NULL; text++)
        n++;
    return n;
}

static void drop_batch(struct rg_access_writer *w)
{
    *w->lost += count_lines(w->buf + w->sent, w->used - w->sent);
    w->torn = w->torn || (w->sent > 0 && w->buf[w->sent - 1] != '\n');
    w->used = w->sent = 0;
}

/* How much may be written without waiting: a pipe that polls writable takes PIPE_BUF bytes whole. */
static size_t room(const struct rg_access_writer *w, size_t wanted)
{
    if (!w->may_block)
        return wanted;
    struct pollfd p = {.fd = w->fd, .events = POLLOUT};
    if (poll(&p, 1, 0) != 1 || !(p.revents & (POLLOUT | POLLERR | POLLHUP)))
        return 0;
    return wanted < PIPE_BUF ? wanted : PIPE_BUF;
}

/* 1: all written; 0: it takes no more now; negative errno: it failed. */
static int write_some(struct rg_access_writer *w, const char *from, size_t *at, size_t end)
{
    while (*at < end) {
        size_t n = room(w, end - *at);
        ssize_t r = n ? write(w->fd, from + *at, n) : 0;
        if (r < 0 && (errno == EINTR))
            continue;
        if (r < 0 && errno != EAGAIN)
            return -errno;
        if (r <= 0)
            return 0;
        *at += (size_t)r;
    }
    return 1;
}

/* Whether the buffer is empty afterwards. */
static bool write_batch(struct rg_access_writer *w)
{
    if (w->used == 0)
        return true;
    if (w->fd < 0 && !open_file(w)) {
        drop_batch(w);
        return true;
    }
    int r = 1;
    if (w->torn) {
        size_t at = 0;
        r = write_some(w, "\n", &at, 1);
        w->torn = r != 1;
    }
    if (r == 1)
        r = write_some(w, w->buf, &w->sent, w->used);
    if (r < 0) {
        report_failure(w, "write", -r);
        drop_batch(w);
        return true;
    }
    if (r == 0)
        return false;
    w->used = w->sent = 0;
    report_success(w);
    return true;
}

/* false: the log takes no more at the moment. */
static bool drain_ring(struct rg_access_writer *w, struct rg_access_ring *ring)
{
    struct rg_access_record record;
    for (unsigned n = 0; n < RECORDS_PER_TICK && rg_access_ring_take(ring, &record); n++) {
        w->used += rg_access_format(&record, w->buf + w->used);
        rg_access_ring_next(ring);
        if (w->used >= RG_ACCESS_BATCH && !write_batch(w))
            return false;
    }
    return true;
}

static void discard_rings(struct rg_access_writer *w)
{
    struct rg_access_record record;
    for (uint16_t i = 0; i < w->n_rings; i++)
        while (rg_access_ring_take(w->rings[i], &record))
            rg_access_ring_next(w->rings[i]);
}

void rg_access_writer_flush(struct rg_access_writer *w)
{
    if (!w->on)
        return;
    /* What is left of the last batch goes first; until then the records wait in their rings. */
    if (!write_batch(w))
        return;
    for (uint16_t i = 0; i < w->n_rings; i++)
        if (!drain_ring(w, w->rings[i]))
            return;
    write_batch(w);
}

void rg_access_writer_tick(struct rg_access_writer *w)
{
    follow_path(w);
    rg_access_writer_flush(w);
}

void rg_access_writer_reopen(struct rg_access_writer *w)
{
    if (!w->on || w->is_stdout)
        return;
    write_batch(w); /* what was formatted belongs to the old file */
    close_file(w);
    open_file(w);
}

void rg_access_writer_configure(struct rg_access_writer *w, const struct rg_settings *s)
{
    bool same = w->on == s->access_log && (!w->on || strcmp(w->path, s->access_log_path) == 0);
    if (same)
        return;
    if (w->on) {
        rg_access_writer_flush(w);
        close_file(w);
        report_end(w);
    } else {
        discard_rings(w); /* left by workers that had not yet seen that the log was switched off */
    }
    w->on = s->access_log;
    snprintf(w->path, sizeof(w->path), "%s", s->access_log_path);
    if (w->on)
        open_file(w);
}

void rg_access_writer_fini(struct rg_access_writer *w)
{
    close_file(w);
    report_end(w);
    free(w->buf);
    w->buf = NULL;
}
