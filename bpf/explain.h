/*
 * Why a BPF program could not be loaded, in words that an operator can act on; what the loaders share.
 * Thread: the control thread. libbpf's own messages are a setting of the whole process: they are taken over between
 * begin and end of a load and given back afterwards.
 */
#ifndef RG_BPF_EXPLAIN_H
#define RG_BPF_EXPLAIN_H

#include <stdbool.h>
#include <stddef.h>

#include <bpf/libbpf.h>

#define RG_BPF_VERIFIER_LOG_BYTES (64u << 10)

struct rg_bpf_load {
    char *verifier_log; /* RG_BPF_VERIFIER_LOG_BYTES, for the open options */
    libbpf_print_fn_t print;
};

int rg_bpf_load_begin(struct rg_bpf_load *l, char *why, size_t why_len);
/* err: what came of the load, returned as it is; not 0: `why` says it in words. */
int rg_bpf_load_end(struct rg_bpf_load *l, int err, char *why, size_t why_len);

bool rg_bpf_has_capability(unsigned cap);

#endif
