/* See answer.h. */
#include "control/platform/answer.h"

#include <stdlib.h>

#include "control/common/json.h"
#include "datapath/http/h1_write.h"

#define CONNECT RG_API_INTERNAL "/ws/gateways/connect" /* its errors look like those of the public API */

static bool begins(struct rg_str path, const char *base)
{
    size_t len = strlen(base);
    return path.len >= len && memcmp(path.ptr, base, len) == 0 && (path.len == len || path.ptr[len] == '/');
}

static bool is_internal(struct rg_str path)
{
    return begins(path, RG_API_INTERNAL) && !begins(path, CONNECT);
}

void rg_answer_set(struct rg_api_answer *answer, unsigned status, const char *content_type, char *body, size_t len)
{
    free(answer->body);
    answer->status = status;
    answer->content_type = content_type;
    answer->body = body;
    answer->body_len = len;
}

void rg_answer_error(struct rg_api_answer *answer, const struct rg_api_request *request, unsigned status,
                     const char *code, const char *message, json_t *errors)
{
    json_t *body;
    if (is_internal(request->path)) {
        struct rg_str phrase = rg_status_phrase((uint16_t)status);
        body = json_pack("{s:i, s:s%, s:o}", "code", (int)status, "message", phrase.ptr, phrase.len, "description",
                         rg_json_text(rg_str_of(message)));
        json_decref(errors);
    } else {
        body = json_pack("{s:s, s:s, s:o, s:o*}", "status", "error", "code", code, "message",
                         rg_json_text(rg_str_of(message)), "errors", errors);
        if (status >= 500 && request->request_id.len)
            json_object_set_new(body, "trackingId", json_stringn(request->request_id.ptr, request->request_id.len));
    }
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);
    rg_answer_set(answer, status, text ? "application/json" : NULL, text, text ? strlen(text) : 0);
    answer->location[0] = answer->file_name[0] = '\0';
    answer->stream = false;
    answer->authenticate = status == 401 && !is_internal(request->path) ? "Bearer realm=\"ringgate\"" : NULL;
}

void rg_api_answer_refuse(struct rg_api_answer *answer, struct rg_str path, unsigned status, const char *code,
                          const char *message)
{
    struct rg_api_request request = {.path = path};
    rg_answer_error(answer, &request, status, code, message, NULL);
}

void rg_api_answer_fini(struct rg_api_answer *answer)
{
    if (answer->body)
        explicit_bzero(answer->body, answer->body_len); /* it may show a token */
    free(answer->body);
    *answer = (struct rg_api_answer){0};
}
