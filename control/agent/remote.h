/*
 * The control plane as a place: where it is, how its certificate is checked, and by which token it knows this gateway.
 * Owner: the agent. Thread: the control thread.
 */
#ifndef RG_AGENT_REMOTE_H
#define RG_AGENT_REMOTE_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stdio.h>

#include "datapath/settings.h"

#define RG_TOKEN_MAX 4096

struct rg_remote {
    char base[320]; /* "https://platform.example:9243", without a slash at the end */
    char host[300]; /* "platform.example:9243", as Host has it */
    char path[256]; /* what the URL has after it, without a slash at the end: usually "" */
    bool tls;
    bool verify;
    char ca_file[256]; /* "": the system's authorities */
    char token_file[256];
    char token[RG_TOKEN_MAX + 1]; /* "": not read yet; wiped at the end */
};

/* The settings' URL was checked when they were decoded. */
void rg_remote_init(struct rg_remote *r, const struct rg_control_settings *s);
void rg_remote_fini(struct rg_remote *r);

#define RG_TOKEN_WHY_MAX 400

/* Reads a token's file: one line of printable characters, white space around it is left out. Negative errno, with
 * `why`: "FILE, which is empty". */
int rg_token_read(const char *path, char ret[RG_TOKEN_MAX + 1], char why[RG_TOKEN_WHY_MAX]);

struct rg_options_findings; /* control/options/options.h */
/* For rg_options_load_with: what is wrong with the token's file and that of the authorities. */
void rg_remote_inspect(const struct rg_settings *s, struct rg_options_findings *findings);
/* What can be used and should not be: calls `warn` with a sentence for each. */
void rg_remote_warn(const struct rg_control_settings *s, void (*warn)(void *owner, const char *text), void *owner);

/* What all connections to it have in common: TLS, time-outs, protocols. false: no memory. */
bool rg_remote_prepare(const struct rg_remote *r, CURL *easy);

#endif
