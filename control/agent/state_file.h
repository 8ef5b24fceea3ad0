/*
 * Files of the state directory: bytes in, bytes out. A file is whole or it is refused: a line with version, kind of
 * content, SHA-256 and length, then the content. Pure.
 *
 *     ringgate-state 1 deployment 5f0e...64 hexadecimal digits... 412
 *     {"kind":"RestApi","artifactId":"...","deploymentId":"...","performedAt":"...","deployed":true}
 *     apiVersion: ...
 *
 * Thread: any (no state).
 */
#ifndef RG_AGENT_STATE_FILE_H
#define RG_AGENT_STATE_FILE_H

#include "control/agent/event.h"

#define RG_STATE_VERSION 1
#define RG_STATE_WHY_MAX 160

/* What is last known of an artifact. Undeployed ones are kept, so that an older event is still known as older. */
struct rg_state_deployment {
    enum rg_kind kind;
    bool deployed;
    char artifact_id[RG_ID_MAX + 1], deployment_id[RG_ID_MAX + 1];
    char performed_at[RG_INSTANT_TEXT_MAX];
    int64_t performed_ns;
    struct rg_str text; /* YAML; decoded: a view into the file */
};

/* The caller's to free(). 0 or -ENOMEM. */
int rg_state_encode_deployment(const struct rg_state_deployment *d, char **ret, size_t *ret_len);
int rg_state_encode_json(const char *content, const json_t *value, char **ret, size_t *ret_len);

/* 0; -EBADMSG: damaged; -ENOTSUP: of another version; `why` says how. */
int rg_state_decode_deployment(struct rg_str file, struct rg_state_deployment *ret, char why[RG_STATE_WHY_MAX]);
int rg_state_decode_json(struct rg_str file, const char *content, json_t **ret, char why[RG_STATE_WHY_MAX]);

#endif
