/*
 * The process's descriptors, and the few of them that are kept for the control thread: when clients hold all others,
 * the admin endpoint still answers, the replica is still checked, and a reload still reads its file.
 *
 * How: the soft limit stands a little below the hard one. The control thread lifts it for a moment to open what it
 * needs; what the datapath happens to open in that moment is above its own limit (settings.descriptors), and it gives
 * it back. Thread: the control thread; the limit is the process's.
 */
#ifndef RG_COMMON_DESCRIPTORS_H
#define RG_COMMON_DESCRIPTORS_H

#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define RG_DESCRIPTORS_RESERVE 16 /* with a low limit less: a sixteenth of it, but at least RG_DESCRIPTORS_LEAST */
#define RG_DESCRIPTORS_LEAST   4

void rg_descriptors_init(void);            /* raises the limit as far as it goes, less the reserve */
uint32_t rg_descriptors_limit(void);       /* all that the process may open */
uint32_t rg_descriptors_of_datapath(void); /* without the reserve */

/* Between the two, the control thread may open what it needs. errno is left as it was. Without init, or without a
 * reserve, they do nothing. */
void rg_descriptors_lift(void);
void rg_descriptors_lower(void);

/* openat and fopen, with one of the reserve when there is no other. */
int rg_descriptors_open(int dir, const char *path, int flags, mode_t mode);
FILE *rg_descriptors_fopen(const char *path, const char *mode);

#endif
