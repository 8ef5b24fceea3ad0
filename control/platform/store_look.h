/*
 * What a start would find in its directory, without changing anything in it: for `ringgate-platform -t`, which may run
 * while the platform does, and as another user. Thread: any one, before the store is opened.
 */
#ifndef RG_PLATFORM_STORE_LOOK_H
#define RG_PLATFORM_STORE_LOOK_H

#include <stddef.h>

/* What can be said of the directory. A start fails on what is wrong, and not on what is only to be known. */
struct rg_store_look {
    char wrong[512]; /* "": nothing */
    char known[512]; /* "": nothing */
};

void rg_store_look(const char *dir, struct rg_store_look *ret);

#endif
