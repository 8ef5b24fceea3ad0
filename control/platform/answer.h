/* How answers and errors of the two APIs look. Thread: any (no state). */
#ifndef RG_PLATFORM_ANSWER_H
#define RG_PLATFORM_ANSWER_H

#include <jansson.h>

#include "control/platform/api.h"

#define RG_API_PUBLIC   "/api/v0.9"
#define RG_API_INTERNAL "/api/internal/v1"

/* Replaces what the answer holds; body is of malloc and taken over, or NULL. */
void rg_answer_set(struct rg_api_answer *answer, unsigned status, const char *content_type, char *body, size_t len);

/* In the shape of the API that the path belongs to. `errors` (a list of {"field", "message"}, or NULL) is taken over.
 */
void rg_answer_error(struct rg_api_answer *answer, const struct rg_api_request *request, unsigned status,
                     const char *code, const char *message, json_t *errors);

#endif
