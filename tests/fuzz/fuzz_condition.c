/*
 * Conditions of policies: whatever the text, it is refused with a column inside it or compiled; what is compiled runs
 * on a request and on its response within its stack, and says the same twice.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "datapath/policy/condition.h"

#define CHECK(cond)  \
    do {             \
        if (!(cond)) \
            abort(); \
    } while (0)

static const char request_head[] =
    "POST /items/7?q HTTP/1.1\r\nHost: h\r\nX-Tier: gold\r\nX-Tier: blue\r\nx-a:\r\n\r\n";
static const char response_head[] = "HTTP/1.1 404 no\r\nServer: s\r\nx-tier: red\r\n\r\n";
static const struct rg_h1_limits limits = {8192, 8192, 4096, 64, true};

static void run(const struct rg_condition *c)
{
    static struct rg_field fields[64], response_fields[64];
    struct rg_h1_resume resume = {0}, response_resume = {0};
    struct rg_h1_request req;
    struct rg_h1_response res;
    enum rg_reason reason;
    CHECK(rg_h1_parse_request(&resume, request_head, sizeof request_head - 1, &limits, fields, &req, &reason) > 0);
    CHECK(rg_h1_parse_response(&response_resume, response_head, sizeof response_head - 1, &limits, response_fields,
                               &res, &reason) > 0);
    struct rg_policy_request q = {.method = req.method,
                                  .path = req.path,
                                  .request_id = RG_STR("0198c"),
                                  .head = rg_policy_head_of(fields, req.n_fields, 64)};
    struct rg_policy_response r = {.status = res.status, .head = rg_policy_head_of(response_fields, res.n_fields, 64)};
    uint64_t saved, again;
    enum rg_condition_verdict verdict = rg_condition_judge_request(c, &q, &saved);
    CHECK(rg_condition_judge_request(c, &q, &again) == verdict && again == saved);
    if (!rg_condition_is_for_response(c))
        return;
    bool holds = rg_condition_holds_for_response(c, &r, saved);
    CHECK(rg_condition_holds_for_response(c, &r, saved) == holds);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rg_condition *c;
    struct rg_arena arena;
    char why[256] = "", *text = malloc(size + 1); /* its end is seen by the sanitizer */
    size_t column = 0;
    CHECK(text);
    if (size > 0)
        memcpy(text, data, size);
    rg_arena_init(&arena);
    int rc = rg_condition_compile(&c, (struct rg_str){text, size}, &arena, why, sizeof why);
    free(text); /* what is kept was copied */
    if (rc == 0)
        run(c);
    else
        CHECK(rc == -EINVAL && sscanf(why, "column %zu: ", &column) == 1 && column >= 1 && column <= size + 2);
    rg_arena_fini(&arena);
    return 0;
}
