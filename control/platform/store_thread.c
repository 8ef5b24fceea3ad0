/*
 * The thread that owns the database. Jobs that wait together run in one transaction, each in a savepoint, and share one
 * commit: one fsync for all. Where the shared transaction is lost (disk full), each runs again alone, so that one that
 * needs no room is not refused for the sake of another.
 *
 * Lifetimes: a job is in one of two lists, waiting or finished, or with the thread. The mutex guards the lists.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "control/platform/store_parts.h"
#include "datapath/base/assert.h"
#include "datapath/base/log.h"

#define BATCH_MAX 128 /* jobs of one commit */

struct job_list {
    struct rg_store_job *first, *last;
    size_t n;
};

struct rg_store_thread {
    struct rg_store *store;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t work;
    struct job_list waiting, finished;
    bool ending;
    int event_fd;
};

static void push(struct job_list *list, struct rg_store_job *job)
{
    job->next = NULL;
    if (list->last)
        list->last->next = job;
    else
        list->first = job;
    list->last = job;
    list->n++;
}

static struct rg_store_job *pop(struct job_list *list)
{
    struct rg_store_job *job = list->first;
    if (!job)
        return NULL;
    list->first = job->next;
    if (!list->first)
        list->last = NULL;
    list->n--;
    return job;
}

/* ---- A batch ---- */

static void run_one(struct rg_store *store, struct rg_store_job *job)
{
    struct rg_db *db = &store->db;
    job->result = rg_db_begin(db);
    if (job->result)
        return;
    job->result = job->run(store, job);
    if (!job->result)
        job->result = db->error;
    rg_store_add(store, RG_STORE_JOBS);
    if (job->result)
        rg_db_rollback(db);
    else
        job->result = rg_db_commit(db);
}

/* false: the transaction is lost, and nothing of it has happened. */
static bool run_together(struct rg_store *store, struct rg_store_job *first)
{
    struct rg_db *db = &store->db;
    if (rg_db_begin(db))
        return false;
    for (struct rg_store_job *job = first; job; job = job->next) {
        run_one(store, job);
        if (rg_db_is_lost(db) || db->error) {
            rg_db_rollback(db);
            return false;
        }
    }
    if (rg_db_commit(db))
        return false;
    rg_store_add(store, RG_STORE_COMMITS);
    return true;
}

static void run_alone(struct rg_store *store, struct rg_store_job *job)
{
    run_one(store, job);
    if (job->result == 0)
        rg_store_add(store, RG_STORE_COMMITS);
    if (job->result == -ENOSPC)
        rg_store_add(store, RG_STORE_FULL);
    if (job->result < 0 && job->result != -EACCES && rg_store_may_complain(store))
        rg_error("a change could not be stored: %s", strerror(-job->result));
}

static void run_batch(struct rg_store *store, struct rg_store_job *first)
{
    if (first->next && run_together(store, first))
        return;
    for (struct rg_store_job *job = first; job; job = job->next)
        run_alone(store, job);
}

/* ---- The thread ---- */

/* NULL: nothing comes any more. */
static struct rg_store_job *take_batch(struct rg_store_thread *t)
{
    struct job_list batch = {0};
    pthread_mutex_lock(&t->mutex);
    while (!t->waiting.first && !t->ending)
        pthread_cond_wait(&t->work, &t->mutex);
    while (batch.n < BATCH_MAX && t->waiting.first)
        push(&batch, pop(&t->waiting));
    pthread_mutex_unlock(&t->mutex);
    return batch.first;
}

static void hand_over(struct rg_store_thread *t, struct rg_store_job *first)
{
    uint64_t one = 1;
    pthread_mutex_lock(&t->mutex);
    for (struct rg_store_job *job = first, *next; job; job = next) {
        next = job->next;
        push(&t->finished, job);
    }
    pthread_mutex_unlock(&t->mutex);
    ssize_t n = write(t->event_fd, &one, sizeof(one));
    RG_ASSERT(n == sizeof(one));
}

static void *thread_main(void *arg)
{
    struct rg_store_thread *t = arg;
    struct rg_store_job *batch;
    pthread_setname_np(pthread_self(), "store");
    while ((batch = take_batch(t))) {
        run_batch(t->store, batch);
        hand_over(t, batch);
    }
    return NULL;
}

/* ---- The loop's side ---- */

int rg_store_thread_create(struct rg_store_thread **ret, struct rg_store *store)
{
    struct rg_store_thread *t = calloc(1, sizeof(*t));
    if (!t)
        return -ENOMEM;
    t->store = store;
    pthread_mutex_init(&t->mutex, NULL);
    pthread_cond_init(&t->work, NULL);
    t->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int rc = t->event_fd < 0 ? -errno : -pthread_create(&t->thread, NULL, thread_main, t);
    if (rc) {
        if (t->event_fd >= 0)
            close(t->event_fd);
        pthread_cond_destroy(&t->work);
        pthread_mutex_destroy(&t->mutex);
        free(t);
        return rc;
    }
    *ret = t;
    return 0;
}

int rg_store_thread_fd(const struct rg_store_thread *thread)
{
    return thread->event_fd;
}

int rg_store_thread_submit(struct rg_store_thread *thread, struct rg_store_job *job)
{
    pthread_mutex_lock(&thread->mutex);
    bool full = thread->waiting.n >= RG_STORE_WAITING_MAX;
    if (!full) {
        push(&thread->waiting, job);
        pthread_cond_signal(&thread->work);
    }
    pthread_mutex_unlock(&thread->mutex);
    return full ? -EAGAIN : 0;
}

void rg_store_thread_collect(struct rg_store_thread *thread)
{
    uint64_t count;
    ssize_t n = read(thread->event_fd, &count, sizeof(count));
    (void)n; /* nothing to read: collected before */
    pthread_mutex_lock(&thread->mutex);
    struct job_list finished = thread->finished;
    thread->finished = (struct job_list){0};
    pthread_mutex_unlock(&thread->mutex);
    for (struct rg_store_job *job; (job = pop(&finished));)
        job->done(job);
}

void rg_store_thread_destroy(struct rg_store_thread *thread)
{
    if (!thread)
        return;
    pthread_mutex_lock(&thread->mutex);
    thread->ending = true;
    pthread_cond_signal(&thread->work);
    pthread_mutex_unlock(&thread->mutex);
    pthread_join(thread->thread, NULL);
    rg_store_thread_collect(thread);
    close(thread->event_fd);
    pthread_cond_destroy(&thread->work);
    pthread_mutex_destroy(&thread->mutex);
    free(thread);
}
