/*
 * The archives in which a control plane sends artifacts: a zip with one YAML file, and a tar.gz with a YAML file per
 * deployment. They come from a network, so nothing of them is believed: sizes, ratios, numbers and names are limited,
 * and nothing is ever written to disk.
 *
 * Thread: any (no state). Texts are the caller's to free().
 */
#ifndef RG_ARTIFACT_ARCHIVE_H
#define RG_ARTIFACT_ARCHIVE_H

#include "datapath/base/str.h"

struct rg_problems; /* control/common/params.h */

#define RG_ARCHIVE_UNPACKED_MAX (16u * 1024 * 1024) /* bytes of all members together */
#define RG_ARCHIVE_RATIO_MAX    100u                /* bytes out of one byte in, beyond the first 64 KiB */
#define RG_ARCHIVE_MEMBERS_MAX  1000u
#define RG_ARCHIVE_NAME_MAX     512u

/* 0 and a text with a NUL after it that does not count; -EINVAL (problems say why) or -ENOMEM. */
int rg_archive_unzip(const void *zip, size_t len, char **ret_text, size_t *ret_len, struct rg_problems *why);

/* A member of a batch: DEPLOYMENT/KIND-ARTIFACT.yaml. Views, valid during the call. */
struct rg_archive_member {
    struct rg_str deployment; /* the deployment's id */
    struct rg_str kind;       /* "api", "llm-provider", "llm-proxy", "mcp-proxy", ... */
    struct rg_str artifact;   /* the artifact's id */
    struct rg_str text;       /* YAML */
};

/*
 * Calls `each` for each member in the order of the archive; what it returns other than 0 ends the reading and is
 * returned. 0, -EINVAL (problems say why) or -ENOMEM. Members before a broken one have been delivered.
 */
int rg_archive_unbatch(const void *tar_gz, size_t len, int (*each)(void *owner, const struct rg_archive_member *member),
                       void *owner, struct rg_problems *why);

#endif
