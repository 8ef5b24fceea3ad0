/*
 * What a start would find in its directory, without changing anything in it: for `ringgate-platform -t`, which may run
 * while the platform does, and as another user. Thread: any one, before the store is opened.
 */
#ifndef RG_PLATFORM_STORE_LOOK_H
#define RG_PLATFORM_STORE_LOOK_H

#include <stdbool.h>
#include <stddef.h>

/* What can be said of the directory. A start fails on what is wrong, and not on what is only to be known. */
struct rg_store_look {
    char wrong[512]; /* "": nothing */
    char known[512]; /* "": nothing */
};

/* A database whose key is gone: a new one would open nothing of what is sealed in it. `error` names file and remedy. */
bool rg_store_lacks_key(const char *dir, char *error, size_t size);

void rg_store_look(const char *dir, struct rg_store_look *ret);

#endif
