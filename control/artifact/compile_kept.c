/* See compile_kept.h. */
#include "control/artifact/compile_kept.h"

#include <stdio.h>
#include <stdlib.h>

#include "datapath/policy/policy.h"

void rg_kept_init(struct rg_kept *k, struct rg_artifact_policy *before)
{
    k->all = k->next = before;
    for (struct rg_artifact_policy *p = k->all; p; p = p->next)
        p->is_taken = false;
}

/* ---- Which one ---- */

static void write_part(FILE *out, struct rg_str part)
{
    fprintf(out, "%zu:", part.len);
    if (part.len > 0)
        fwrite(part.ptr, 1, part.len, out);
}

/* ".operations[3].policies[0].params" without its numbers. Returns how many lists it leads through. */
static unsigned write_place(FILE *out, const char *place)
{
    unsigned lists = 0;
    for (const char *p = place; *p; p++) {
        if (*p >= '0' && *p <= '9')
            continue;
        lists += *p == '[';
        fputc(*p, out);
    }
    fputc('\n', out);
    return lists;
}

static bool write_params(FILE *out, const json_t *params)
{
    return !params || json_dumpf(params, out, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY) == 0;
}

bool rg_kept_identify(const struct rg_compile_rendered *of, const struct rg_lower_policy *policy,
                      const struct rg_policy_kind *kind, const struct rg_route_spec *route,
                      struct rg_artifact_policy_id *ret)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (!out)
        return false;
    unsigned lists = write_place(out, policy->params_path + strlen(of->source.path));
    const struct rg_str parts[] = {rg_str_of(kind->name), of->spec.handle, of->spec.version, policy->condition};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        write_part(out, parts[i]);
    if (lists > 1) { /* of an operation, not of the whole */
        write_part(out, route->host);
        write_part(out, route->method);
        write_part(out, route->path);
    }
    bool ok = write_params(out, policy->params);
    ok = fclose(out) == 0 && ok && rg_digest((struct rg_str){text, len}, ret->digest);
    if (text)
        explicit_bzero(text, len); /* rendered: a secret may be in it */
    free(text);
    return ok;
}

/* ---- Going over ---- */

static bool is_it(const struct rg_artifact_policy *p, const struct rg_artifact_policy_id *id)
{
    return p->counts && !p->is_taken && memcmp(p->id.digest, id->digest, sizeof(id->digest)) == 0;
}

/* In most cases all are there, in the order that they had: the next one is the one. */
struct rg_policy *rg_kept_take(struct rg_kept *k, const struct rg_artifact_policy_id *id)
{
    struct rg_artifact_policy *p = k->next;
    while (p && !is_it(p, id))
        p = p->next;
    if (!p)
        for (p = k->all; p && !is_it(p, id);)
            p = p->next;
    if (!p)
        return NULL;
    p->is_taken = true;
    k->next = p->next;
    return rg_policy_ref(p->policy);
}
