/* What both kinds of archives share. Private to archive*.c. Thread: any (no state). */
#ifndef RG_ARTIFACT_ARCHIVE_PARTS_H
#define RG_ARTIFACT_ARCHIVE_PARTS_H

#include "control/artifact/archive.h"
#include "control/common/conf_errors.h"
#include "control/common/params.h"

#define RG_ARCHIVE_QUOTED     320u         /* room for a quoted name */
#define RG_ARCHIVE_RATIO_FREE (64u * 1024) /* bytes unpacked before the ratio counts */

/* A problem of the archive, or of one member. */
void rg_archive_refuse(struct rg_problems *why, struct rg_str member, const char *got, const char *wanted,
                       const char *remedy);

/* false: said why. */
bool rg_archive_check_name(struct rg_problems *why, struct rg_str name);
bool rg_archive_check_size(struct rg_problems *why, struct rg_str name, uint64_t unpacked, uint64_t packed);

bool rg_archive_is_yaml(struct rg_str name);

#endif
