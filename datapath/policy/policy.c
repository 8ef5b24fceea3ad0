/* See policy.h. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "datapath/policy/kinds.h"
#include "datapath/policy/policy_parts.h"

static const struct rg_policy_kind *const kinds[] = {
#define RG_POLICY(name) &rg_policy_##name,
#include "datapath/policy/policies.def"
#undef RG_POLICY
};

#define KINDS (sizeof kinds / sizeof kinds[0])

const struct rg_policy_kind *rg_policy_kind_at(unsigned i)
{
    return i < KINDS ? kinds[i] : NULL;
}

__attribute__((format(printf, 3, 4))) static void note(struct rg_policy_problem *problem, const char *path,
                                                       const char *format, ...)
{
    va_list args;
    snprintf(problem->path, sizeof problem->path, "%s", path);
    va_start(args, format);
    vsnprintf(problem->text, sizeof problem->text, format, args);
    va_end(args);
}

int rg_policy_refuse(struct rg_policy_making *m, const char *path, const char *format, ...)
{
    struct rg_policy_problem *p = m->problem;
    va_list args;
    snprintf(p->path, sizeof p->path, "params%s%s", path[0] != '\0' && path[0] != '[' ? "." : "", path);
    va_start(args, format);
    vsnprintf(p->text, sizeof p->text, format, args);
    va_end(args);
    return -EINVAL;
}

/* ---- by name ---- */

static void list_names(char *out, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < KINDS && n < size; i++)
        n += (size_t)snprintf(out + n, size - n, "%s%s", i > 0 ? ", " : "", kinds[i]->name);
}

/* "v1": its number; -1: it is not of this form. */
static int major_of(struct rg_str version)
{
    int major = 0;
    if (version.len < 2 || version.len > 4 || version.ptr[0] != 'v')
        return -1;
    for (size_t i = 1; i < version.len; i++) {
        if (version.ptr[i] < '0' || version.ptr[i] > '9')
            return -1;
        major = major * 10 + (version.ptr[i] - '0');
    }
    return major;
}

/* Artifacts ask for v1 of what is still v0. */
static bool is_served(const struct rg_policy_kind *kind, struct rg_str version, struct rg_policy_problem *problem)
{
    const char *dot = strchr(kind->version, '.');
    struct rg_str own = {kind->version, (size_t)(dot - kind->version)};
    int wanted = version.len > 0 ? major_of(version) : major_of(own);
    if (wanted == major_of(own) || (wanted == 1 && major_of(own) == 0))
        return true;
    if (wanted < 0)
        note(problem, "version", "got '%.*s', wanted the major version alone: %.*s", (int)version.len, version.ptr,
             (int)own.len, own.ptr);
    else
        note(problem, "version", "policy %s has no version %.*s here: use %.*s", kind->name, (int)version.len,
             version.ptr, (int)own.len, own.ptr);
    return false;
}

const struct rg_policy_kind *rg_policy_find(struct rg_str name, struct rg_str version,
                                            struct rg_policy_problem *problem)
{
    char names[256];
    for (size_t i = 0; i < KINDS; i++)
        if (rg_str_eq(rg_str_of(kinds[i]->name), name))
            return is_served(kinds[i], version, problem) ? kinds[i] : NULL;
    list_names(names, sizeof names);
    note(problem, "name", "policy '%.*s' is not supported here: wanted one of %s", (int)(name.len < 64 ? name.len : 64),
         name.ptr, names);
    return NULL;
}

/* ---- lifetime ---- */

static int prepare(struct rg_policy *p, const void *params, const struct rg_policy_place *place,
                   struct rg_policy_problem *problem)
{
    struct rg_policy_making m = {.arena = &p->arena, .place = place, .problem = problem};
    p->self = rg_arena_alloc(&p->arena, p->kind->size);
    if (!p->self)
        return -ENOMEM;
    int rc = p->kind->prepare(p->self, params, &m);
    p->request_fields = m.request_fields;
    p->response_fields = m.response_fields;
    p->field_bytes = m.field_bytes;
    p->counters = m.counters;
    p->keeps_head = m.keeps_head;
    p->needs_state = m.needs_state;
    p->asks_prefix = m.asks_prefix;
    return rc;
}

int rg_policy_create(struct rg_policy **ret, const struct rg_policy_kind *kind, const void *params,
                     struct rg_str condition, const struct rg_policy_place *place, struct rg_policy_problem *problem)
{
    struct rg_policy *p = calloc(1, sizeof *p);
    if (!p)
        return -ENOMEM;
    p->kind = kind;
    p->refs = 1;
    rg_arena_init(&p->arena);
    *problem = (struct rg_policy_problem){0};
    int rc = prepare(p, params, place, problem);
    if (rc == 0 && condition.len > 0) {
        rc = rg_condition_compile(&p->condition, condition, &p->arena, problem->text, sizeof problem->text);
        if (rc == -EINVAL)
            snprintf(problem->path, sizeof problem->path, "executionCondition");
    }
    if (rc < 0)
        rg_policy_unref(p);
    else
        *ret = p;
    return rc;
}

struct rg_policy *rg_policy_ref(struct rg_policy *policy)
{
    policy->refs++;
    return policy;
}

void rg_policy_unref(struct rg_policy *policy)
{
    if (!policy || --policy->refs > 0)
        return;
    if (policy->kind->drop && policy->self)
        policy->kind->drop(policy->self);
    rg_arena_fini(&policy->arena);
    free(policy);
}

const struct rg_policy_kind *rg_policy_kind_of(const struct rg_policy *policy)
{
    return policy->kind;
}

uint32_t rg_policy_counters(const struct rg_policy *policy)
{
    return policy->counters;
}
