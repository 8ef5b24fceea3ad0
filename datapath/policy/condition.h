/*
 * Conditions: the part of CEL (Common Expression Language) in which artifacts say when a policy runs. Compiled by the
 * control thread to a program for a small stack machine, with all types known; run by workers without allocation.
 *
 *   literals      "text" 'text' 42 true false, lists of text or of numbers: ["a", "b"]
 *   operators     == != < <= > >= in && || ! ( )
 *   text          .startsWith(s) .endsWith(s) .contains(s) .size()
 *   request       .Method .Path (without the query) .RequestID .Headers
 *   response      .ResponseStatus .ResponseHeaders .RequestMethod .RequestPath .RequestHeaders .RequestID
 *   processing    .phase: "request_headers" or "response_headers"
 *   of headers    "name" in request.Headers, request.Headers["name"][0], "value" in request.Headers["name"],
 *                 request.Headers["name"].size()
 *
 * What is not there (a header, a response in the request phase) is an error, as in CEL: `false && error` is false,
 * `true || error` is true. A condition that comes out as an error does not hold, but for a policy that guards: leaving
 * out a header must not open a door.
 *
 * Lifetime: in the arena of its policy. Thread: see policy.h.
 */
#ifndef RG_POLICY_CONDITION_H
#define RG_POLICY_CONDITION_H

#include "datapath/policy/view.h"

struct rg_condition;

#define RG_CONDITION_BYTES_MAX 4096

/* -EINVAL with a sentence that begins with the column, or -ENOMEM. Copies what it keeps. */
int rg_condition_compile(struct rg_condition **ret, struct rg_str text, struct rg_arena *arena, char *why,
                         size_t why_size);

/* It has to be asked again in the response phase: it speaks of the response, or of the phase. */
bool rg_condition_is_for_response(const struct rg_condition *c);

/* *saved: what the response phase needs to know of the request. */
enum rg_condition_verdict { RG_CONDITION_NO, RG_CONDITION_YES, RG_CONDITION_ERROR };
enum rg_condition_verdict rg_condition_judge_request(const struct rg_condition *c, const struct rg_policy_request *q,
                                                     uint64_t *saved);
bool rg_condition_holds_for_response(const struct rg_condition *c, const struct rg_policy_response *r, uint64_t saved);

#endif
