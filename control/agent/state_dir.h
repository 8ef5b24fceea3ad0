/*
 * The state directory: what a gateway serves when it starts without its control plane. One file for each artifact
 * (ARTIFACT.deployment), one for API keys and one for secrets (keys.json, secrets.json; only the owner may read them).
 *
 * A file is written beside, synced, renamed, and the directory synced: at any moment either the old or the new one is
 * there, whole. Damaged ones are set aside as NAME.damaged. A second process is kept out by a lock.
 *
 * Thread: loading by main before any other; writing by the writer's thread alone, which is handed batches of files and
 * says through an eventfd when one is on the disk, so that the control thread never waits for it. Files of a batch are
 * synced together. Owner: the control thread makes and ends it; a batch is the writer's until it is done.
 */
#ifndef RG_AGENT_STATE_DIR_H
#define RG_AGENT_STATE_DIR_H

#include <pthread.h>

#include "control/agent/state_file.h"
#include "control/common/loop.h"

struct rg_state_job {
    char name[RG_ID_MAX + 16]; /* in the directory */
    char *bytes;               /* NULL: remove it */
    size_t len;
    struct rg_state_job *next;
};

struct rg_state_batch {
    struct rg_state_job *first, **last;
    uint64_t ticket; /* grows by one with every batch */
    int error;       /* of the first file that could not be written; 0: all are on the disk */
    char failed[RG_ID_MAX + 16];
    struct rg_state_batch *next;
};

struct rg_state_dir {
    char path[256];
    int fd, lock_fd; /* -1: not open */

    struct rg_loop *loop;
    struct rg_watch done_event;
    void (*done)(struct rg_state_dir *dir, const struct rg_state_batch *batch); /* on the control thread */
    void *owner;

    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t wake;
    struct rg_state_batch *waiting, **waiting_last, *finished, **finished_last;
    bool ending;
    uint64_t tickets; /* the control thread's alone */
};

#define RG_STATE_DIR_WHY_MAX 512

/* Makes the directory if need be and locks it, for which it waits 2 s at most. Negative errno, with `why`: place,
 * reason and remedy. */
int rg_state_dir_open(struct rg_state_dir *dir, const char *path, char why[RG_STATE_DIR_WHY_MAX]);

/* Whether rg_state_dir_open could, without doing it. Negative errno, with the same `why`. */
int rg_state_dir_check(const char *path, char why[RG_STATE_DIR_WHY_MAX]);

/* Calls `each` for every whole file that ends in `suffix`; sets damaged ones aside and logs them. What `each` returns
 * other than 0 is that: `why` says how the file is damaged. Negative errno: the directory can't be read. */
int rg_state_dir_load(struct rg_state_dir *dir, const char *suffix,
                      int (*each)(void *owner, const char *name, struct rg_str bytes, char why[RG_STATE_WHY_MAX]),
                      void *owner);

/* ---- Writing: from the control thread ---- */

int rg_state_dir_start(struct rg_state_dir *dir, struct rg_loop *loop);
struct rg_state_batch *rg_state_batch_create(void);
/* Takes bytes over, also when it fails. bytes NULL: the file is removed. -ENOMEM. */
int rg_state_batch_add(struct rg_state_batch *batch, const char *name, char *bytes, size_t len);
void rg_state_batch_destroy(struct rg_state_batch *batch);
/* Takes the batch over. Returns its ticket, that `done` will show. Batches are written in this order. */
uint64_t rg_state_dir_submit(struct rg_state_dir *dir, struct rg_state_batch *batch);

/* Writes what was submitted, then ends the thread. Half-opened ones and those that were never opened are fine. */
void rg_state_dir_close(struct rg_state_dir *dir);

#endif
