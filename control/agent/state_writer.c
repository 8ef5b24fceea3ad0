/*
 * The writer of the state directory: its thread, and how batches come to it and go back. See state_dir.h.
 *
 * A batch is written in passes over its files: all are written, then all are synced, then all are renamed, and last the
 * directory is synced. So the disk has the batch to itself at once, and a thousand files cost far less than a thousand
 * waits.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "control/agent/state_parts.h"

/* ---- Batches ---- */

struct rg_state_batch *rg_state_batch_create(void)
{
    struct rg_state_batch *batch = calloc(1, sizeof(*batch));
    if (batch)
        batch->last = &batch->first;
    return batch;
}

static void free_bytes(char *bytes, size_t len)
{
    if (bytes)
        OPENSSL_cleanse(bytes, len); /* it may have secrets */
    free(bytes);
}

int rg_state_batch_add(struct rg_state_batch *batch, const char *name, char *bytes, size_t len)
{
    struct rg_state_job *job = batch ? calloc(1, sizeof(*job)) : NULL;
    if (!job) {
        free_bytes(bytes, len);
        return -ENOMEM;
    }
    snprintf(job->name, sizeof(job->name), "%s", name);
    job->bytes = bytes;
    job->len = len;
    *batch->last = job;
    batch->last = &job->next;
    return 0;
}

void rg_state_batch_destroy(struct rg_state_batch *batch)
{
    if (!batch)
        return;
    while (batch->first) {
        struct rg_state_job *job = batch->first;
        batch->first = job->next;
        free_bytes(job->bytes, job->len);
        free(job);
    }
    free(batch);
}

/* ---- One batch, on the writer's thread ---- */

static void note(struct rg_state_batch *batch, const struct rg_state_job *job, int error)
{
    if (batch->error != 0 || error == 0)
        return;
    batch->error = error;
    snprintf(batch->failed, sizeof(batch->failed), "%s", job->name);
}

static int write_whole(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, bytes, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        bytes += n;
        len -= (size_t)n;
    }
    return 0;
}

struct names {
    char file[RG_ID_MAX + 16], unfinished[RG_ID_MAX + 32];
};

static void name_of(const struct rg_state_job *job, struct names *ret)
{
    snprintf(ret->file, sizeof(ret->file), "%s", job->name);
    snprintf(ret->unfinished, sizeof(ret->unfinished), "%s" RG_STATE_UNFINISHED, job->name);
}

static int write_new(int dir_fd, const struct rg_state_job *job)
{
    struct names n;
    name_of(job, &n);
    int fd = openat(dir_fd, n.unfinished, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    int r = write_whole(fd, job->bytes, job->len);
    close(fd);
    return r;
}

static int sync_new(int dir_fd, const struct rg_state_job *job)
{
    struct names n;
    name_of(job, &n);
    int fd = openat(dir_fd, n.unfinished, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -errno;
    int r = fsync(fd) < 0 ? -errno : 0;
    close(fd);
    return r;
}

static int put_in_place(int dir_fd, const struct rg_state_job *job)
{
    struct names n;
    name_of(job, &n);
    if (job->bytes)
        return renameat(dir_fd, n.unfinished, dir_fd, n.file) < 0 ? -errno : 0;
    return unlinkat(dir_fd, n.file, 0) < 0 && errno != ENOENT ? -errno : 0;
}

/* A file that could not be written whole must not take the place of the one that is. */
static void write_batch(int dir_fd, struct rg_state_batch *batch)
{
    typedef int (*step_fn)(int dir_fd, const struct rg_state_job *job);
    static const step_fn for_content[] = {write_new, sync_new};
    for (unsigned step = 0; step < sizeof(for_content) / sizeof(for_content[0]) && batch->error == 0; step++)
        for (const struct rg_state_job *job = batch->first; job && batch->error == 0; job = job->next)
            if (job->bytes)
                note(batch, job, for_content[step](dir_fd, job));
    for (const struct rg_state_job *job = batch->first; job && batch->error == 0; job = job->next)
        note(batch, job, put_in_place(dir_fd, job));
    if (batch->error == 0 && batch->first && fsync(dir_fd) < 0)
        note(batch, batch->first, -errno);
    for (const struct rg_state_job *job = batch->first; job && batch->error != 0; job = job->next) {
        struct names n;
        name_of(job, &n);
        unlinkat(dir_fd, n.unfinished, 0); /* on a full disk it would be in the way of the next try */
    }
}

/* ---- The thread ---- */

static void *writer_main(void *arg)
{
    struct rg_state_dir *dir = arg;
    const uint64_t one = 1;
    pthread_mutex_lock(&dir->lock);
    for (;;) {
        while (!dir->waiting && !dir->ending)
            pthread_cond_wait(&dir->wake, &dir->lock);
        struct rg_state_batch *batch = dir->waiting;
        if (!batch)
            break;
        dir->waiting = batch->next;
        if (!dir->waiting)
            dir->waiting_last = &dir->waiting;
        batch->next = NULL;
        pthread_mutex_unlock(&dir->lock);
        write_batch(dir->fd, batch);
        pthread_mutex_lock(&dir->lock);
        *dir->finished_last = batch;
        dir->finished_last = &batch->next;
        (void)!write(dir->done_event.fd, &one, sizeof(one));
    }
    pthread_mutex_unlock(&dir->lock);
    return NULL;
}

static struct rg_state_batch *take_finished(struct rg_state_dir *dir)
{
    pthread_mutex_lock(&dir->lock);
    struct rg_state_batch *batch = dir->finished;
    if (batch)
        dir->finished = batch->next;
    if (!dir->finished)
        dir->finished_last = &dir->finished;
    pthread_mutex_unlock(&dir->lock);
    return batch;
}

static void batches_done(struct rg_watch *watch, uint32_t events)
{
    (void)events;
    struct rg_state_dir *dir = RG_OWNER(watch, struct rg_state_dir, done_event);
    uint64_t count;
    (void)!read(watch->fd, &count, sizeof(count));
    for (struct rg_state_batch *batch; (batch = take_finished(dir));) {
        dir->done(dir, batch);
        rg_state_batch_destroy(batch);
    }
}

int rg_state_dir_start(struct rg_state_dir *dir, struct rg_loop *loop)
{
    dir->waiting_last = &dir->waiting;
    dir->finished_last = &dir->finished;
    dir->loop = loop;
    dir->done_event = (struct rg_watch){.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .ready = batches_done};
    if (dir->done_event.fd < 0)
        return -errno;
    int r = rg_loop_watch(loop, &dir->done_event, EPOLLIN);
    if (r == 0)
        r = -pthread_create(&dir->thread, NULL, writer_main, dir);
    if (r == 0)
        dir->has_thread = true;
    return r;
}

uint64_t rg_state_dir_submit(struct rg_state_dir *dir, struct rg_state_batch *batch)
{
    batch->ticket = ++dir->tickets;
    batch->next = NULL;
    pthread_mutex_lock(&dir->lock);
    *dir->waiting_last = batch;
    dir->waiting_last = &batch->next;
    pthread_cond_signal(&dir->wake);
    pthread_mutex_unlock(&dir->lock);
    return batch->ticket;
}

void rg_state_writer_end(struct rg_state_dir *dir)
{
    if (dir->has_thread) {
        pthread_mutex_lock(&dir->lock);
        dir->ending = true;
        pthread_cond_signal(&dir->wake);
        pthread_mutex_unlock(&dir->lock);
        pthread_join(dir->thread, NULL);
        dir->has_thread = false;
    }
    for (struct rg_state_batch *batch; dir->finished && (batch = take_finished(dir));)
        rg_state_batch_destroy(batch);
    if (dir->done_event.fd >= 0) {
        rg_loop_unwatch(dir->loop, &dir->done_event);
        close(dir->done_event.fd);
        dir->done_event.fd = -1;
    }
}
