/*
 * The self-test of rg_sockmap_try. Thread: the control thread.
 */
#ifndef RG_BPF_SOCKMAP_TRIAL_H
#define RG_BPF_SOCKMAP_TRIAL_H

#include "bpf/sockmap_loader.h"

int rg_sockmap_trial(struct rg_sockmap *s, char *why, size_t why_len);

#endif
