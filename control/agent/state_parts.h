/* What the two halves of the state directory share: state_dir.c and state_writer.c. See state_dir.h for the threads. */
#ifndef RG_AGENT_STATE_PARTS_H
#define RG_AGENT_STATE_PARTS_H

#include "control/agent/state_dir.h"

#define RG_STATE_UNFINISHED ".new" /* a file that is being written */

void rg_state_writer_end(struct rg_state_dir *dir);

#endif
