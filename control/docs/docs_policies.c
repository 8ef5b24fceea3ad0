/* Why: docs/POLICIES.md from the tables of the policies' parameters. Thread: the generator has one. */
#include "control/docs/docs.h"

#include <inttypes.h>

#include "datapath/policy/chain.h"

static const char intro[] =
    "# Policies\n"
    "\n"
    "<!-- Made by ringgate-docs from the tables in datapath/policy: change these, then run ringgate-docs --write docs. "
    "-->\n"
    "\n"
    "A policy is attached to an API or to one of its operations:\n"
    "\n"
    "    policies:\n"
    "      - name: set-headers\n"
    "        version: v1\n"
    "        executionCondition: 'request.Method == \"POST\" && \"x-debug\" in request.Headers'\n"
    "        params: {request: {headers: [{name: x-stage, value: prod}]}}\n"
    "\n"
    "Requests meet the policies of the API first, then those of the operation, each in the order in which they\n"
    "are written; responses meet them in reverse. A policy that answers ends the way of the request: the policies\n"
    "behind it see nothing of it, those before it see the answer, so that a 401 has the fields that `cors` adds.\n"
    "They also see what the gateway itself answers when an upstream fails. The answer that opens a WebSocket\n"
    "(101, over HTTP/2 200) has no response phase. What a policy says wrongly, or what is not supported, fails\n"
    "the deployment with the path of the field; nothing is skipped.\n"
    "\n"
    "Fields that frame a message (`Content-Length`, `Transfer-Encoding`, `Connection` and the like) and fields\n"
    "that the gateway writes itself (`X-Forwarded-*`, `Via`, `X-Request-Id`, `traceparent`) can't be changed by\n"
    "policies.\n"
    "\n"
    "`version` is the major version alone; left out, it is the newest. A route has at most ";

static const char conditions[] =
    "\n## Conditions\n"
    "\n"
    "`executionCondition` is a part of CEL (Common Expression Language). The policy runs where it is true.\n"
    "\n"
    "| | |\n"
    "|---|---|\n"
    "| literals | `\"text\"`, `'text'`, `42`, `true`, `false`, lists of texts or of numbers: `[\"a\", \"b\"]` |\n"
    "| operators | `==` `!=` `<` `<=` `>` `>=` `in` `&&` `\\|\\|` `!` `( )` |\n"
    "| of text | `.startsWith(s)` `.endsWith(s)` `.contains(s)` `.size()` |\n"
    "| of the request | `request.Method` `request.Path` (without the query) `request.RequestID` `request.Headers` |\n"
    "| of the response | `response.ResponseStatus` `response.ResponseHeaders`; of its request "
    "`response.RequestMethod` `response.RequestPath` `response.RequestHeaders` `response.RequestID` |\n"
    "| phase | `processing.phase`: `\"request_headers\"` or `\"response_headers\"` |\n"
    "| headers | `\"name\" in request.Headers`, `request.Headers[\"name\"][0]`, `\"value\" in "
    "request.Headers[\"name\"]`, `request.Headers[\"name\"].size()`; names in any case |\n"
    "\n"
    "A header that is not there is an error, and so is the response while there is only a request.\n"
    "`false && error` is false, `true || error` is true, and a condition that comes out as an error is not true.\n"
    "Policies that let in or refuse (api-key-auth, basic-auth, the rate limits) run even so: leaving a header out\n"
    "must not open a door. A condition that speaks of the request alone is worked out once, before the policy\n"
    "would run, and holds for the response as well. Bodies and metadata can't be asked. `executionCondition` has\n"
    "at most 4096 bytes.\n";

static void write_words(const struct rg_param *p, FILE *out)
{
    bool first = true;
    for (const char *const *w = p->words; *w; w++) {
        if ((*w)[0] == '\0')
            continue;
        fprintf(out, "%s`%s`", first ? "" : ", ", *w);
        first = false;
    }
}

static void write_range(const struct rg_param *p, FILE *out)
{
    if (p->max != 0)
        fprintf(out, ", %" PRId64 " to %" PRId64, p->min, p->max);
    else if (p->min != 0)
        fprintf(out, ", %" PRId64 " or more", p->min);
}

static void write_type(const struct rg_param *p, FILE *out)
{
    switch (p->type) {
    case RG_PARAM_STRING:
        fputs(p->scalar ? "text or number" : "text", out);
        break;
    case RG_PARAM_BOOL:
        fputs("`true` or `false`", out);
        break;
    case RG_PARAM_INT:
        fputs("number", out);
        write_range(p, out);
        break;
    case RG_PARAM_DURATION:
        fputs("duration", out);
        break;
    case RG_PARAM_ENUM:
        write_words(p, out);
        break;
    case RG_PARAM_OBJECT:
        fputs("object", out);
        break;
    case RG_PARAM_LIST:
        fputs(p->fields ? "list of objects" : "list of texts", out);
        break;
    case RG_PARAM_ANY:
        fputs("anything", out);
        break;
    }
}

static void write_rows(const struct rg_param *table, const char *front, FILE *out)
{
    for (const struct rg_param *p = table; p->name; p++) {
        char path[256];
        snprintf(path, sizeof path, "%s%s", front, p->name);
        fprintf(out, "| `%s` | ", path);
        write_type(p, out);
        fputs(" | ", out);
        if (p->required)
            fputs("must be given", out);
        else if (p->initial && p->type != RG_PARAM_OBJECT && strcmp(p->initial, "\"\"") != 0)
            fprintf(out, "`%s`", p->initial);
        fputs(" | ", out);
        rg_docs_cell(out, p->help);
        fputs(" |\n", out);
        snprintf(path, sizeof path, "%s%s%s.", front, p->name, p->type == RG_PARAM_LIST ? "[]" : "");
        if (p->fields)
            write_rows(p->fields, path, out);
    }
}

void rg_docs_policies(FILE *out)
{
    const struct rg_policy_kind *kind;
    fputs(intro, out);
    fprintf(out,
            "%d policies, of which %d may\nkeep something from the request to the response, and which add at most "
            "%d fields to a message.\n",
            RG_POLICY_CHAIN_MAX, RG_POLICY_STATES_MAX, RG_POLICY_FIELDS_MAX);
    for (unsigned i = 0; (kind = rg_policy_kind_at(i)) != NULL; i++) {
        fprintf(out, "\n## %s (%.2s)\n\n%s\n\n| parameter | value | default | meaning |\n|---|---|---|---|\n",
                kind->name, kind->version, kind->help);
        write_rows(kind->params, "", out);
    }
    fputs(conditions, out);
}
