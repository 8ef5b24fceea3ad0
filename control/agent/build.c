/* From the text of a definition to a unit: decoded, its secrets had, compiled against what else is deployed. */

#include "control/agent/agent_parts.h"

/* ---- Compiling ---- */

struct compiling {
    struct rg_agent *agent;
    struct rg_entry *entry;
    const struct rg_artifact *artifact;
};

static const struct rg_artifact *find(void *owner, enum rg_kind kind, struct rg_str handle)
{
    const struct compiling *c = owner;
    const struct rg_entry *e = rg_entry_of_handle(c->agent, kind, handle);
    return e ? rg_entry_next_version(e)->artifact : NULL;
}

static bool secret(void *owner, struct rg_str handle, struct rg_str *ret)
{
    const struct compiling *c = owner;
    return rg_secret_value(c->agent, handle, ret);
}

static struct rg_key_set *keys(void *owner, const struct rg_artifact *artifact)
{
    const struct compiling *c = owner;
    const struct rg_artifact_info *info = rg_artifact_info(artifact);
    const struct rg_entry *e = c->entry;
    if (artifact != c->artifact)
        e = rg_entry_of_handle(c->agent, info->kind, info->handle);
    return e ? e->keys : NULL;
}

static struct rg_artifact_policy *policies_of_live(const struct rg_entry *e)
{
    if (!e->is_known || !e->live.deployed)
        return NULL;
    return e->live.artifact ? rg_artifact_policies(e->live.artifact) : e->live.policies;
}

static void say_no_memory(int result, struct rg_problems *why)
{
    if (result < 0 && !rg_problems_any(why))
        rg_problems_say(why, RG_STR(""), RG_STR("no memory"));
}

int rg_agent_compile(struct rg_agent *a, struct rg_entry *e, const struct rg_artifact *artifact, struct rg_unit **ret,
                     struct rg_problems *why)
{
    struct compiling owner = {a, e, artifact};
    const struct rg_address *admin = &a->admin;
    struct rg_compile_context context = {.find = find,
                                         .secret = secret,
                                         .keys = keys,
                                         .owner = &owner,
                                         .before = policies_of_live(e),
                                         .place = &a->place,
                                         .forbidden = &admin,
                                         .n_forbidden = a->has_admin};
    if (!e->keys)
        e->keys = rg_key_set_create();
    int r = e->keys ? rg_compile(artifact, &context, ret, why) : -ENOMEM;
    say_no_memory(r, why);
    return r;
}

/* ---- Orders ---- */

static bool decode(struct rg_order *o, const char *text, size_t len)
{
    struct rg_problems why;
    rg_problems_init(&why);
    int r = rg_artifact_decode(text, len, &o->version.artifact, &why);
    say_no_memory(r, &why);
    if (r < 0)
        rg_order_fail_problems(o, &why);
    else
        rg_entry_note_handle(o->entry, o->version.artifact);
    rg_problems_fini(&why);
    return r == 0;
}

static bool has_its_kind(struct rg_order *o)
{
    enum rg_kind got = rg_artifact_info(o->version.artifact)->kind;
    if (got == o->entry->kind)
        return true;
    rg_order_fail_at(o, "kind", "got %s, wanted %s, as the control plane announced it", rg_kind_info(got)->name,
                     rg_kind_info(o->entry->kind)->name);
    return false;
}

/* The secrets are a part of the fetch. The order may be gone afterwards. */
static void look_for_secrets(struct rg_order *o)
{
    struct rg_problems why;
    rg_problems_init(&why);
    switch (rg_secrets_look(o->agent, o, &why)) {
    case RG_SECRETS_THERE:
        rg_order_news(o, RG_NEWS_FETCHED);
        break;
    case RG_SECRETS_MISSING:
        rg_order_fail_problems(o, &why);
        break;
    case RG_SECRETS_COMING:
        break;
    }
    rg_problems_fini(&why);
}

void rg_order_take_text(struct rg_order *o, char *text, size_t len)
{
    struct rg_agent *a = o->agent;
    o->version.text = text;
    o->version.text_len = len;
    if (decode(o, text, len) && has_its_kind(o))
        look_for_secrets(o);
    rg_agent_build_soon(a); /* if this was a provider, proxies may have waited for it */
}

/* A proxy is compiled against its provider, which may be on its way. */
static bool must_wait(const struct rg_order *o)
{
    if (o->entry->kind != RG_KIND_LLM_PROXY)
        return false;
    for (const struct rg_list *at = o->agent->orders.next; at != &o->agent->orders; at = at->next) {
        const struct rg_order *other = RG_CONTAINER(at, struct rg_order, link);
        if (other->entry->kind == RG_KIND_LLM_PROVIDER && other->state <= RG_ORDER_FETCHING)
            return true;
    }
    return false;
}

void rg_order_build(struct rg_order *o)
{
    struct rg_agent *a = o->agent;
    struct rg_problems why;
    if (must_wait(o))
        return;
    rg_problems_init(&why);
    if (rg_agent_compile(a, o->entry, o->version.artifact, &o->version.unit, &why) < 0) {
        rg_order_fail_problems(o, &why);
    } else {
        rg_order_news(o, RG_NEWS_COMPILED);
        rg_agent_publish_soon(a);
    }
    rg_problems_fini(&why);
}

/* ---- What waited ---- */

static bool is_waiting(const struct rg_order *o)
{
    return o->state == RG_ORDER_HELD || (o->state == RG_ORDER_FETCHING && o->version.artifact);
}

static void build_due(struct rg_alarm *alarm)
{
    struct rg_agent *a = RG_OWNER(alarm, struct rg_agent, build_due);
    for (struct rg_list *at = a->orders.next, *next; at != &a->orders; at = next) {
        struct rg_order *o = RG_CONTAINER(at, struct rg_order, link);
        next = at->next; /* news of one order end no other */
        if (!is_waiting(o))
            continue;
        if (o->state == RG_ORDER_HELD)
            rg_order_news(o, RG_NEWS_FETCHED);
        else
            look_for_secrets(o);
    }
}

void rg_build_init(struct rg_agent *a)
{
    a->build_due.due = build_due;
}

void rg_agent_build_soon(struct rg_agent *a)
{
    if (!a->build_due.set)
        rg_loop_set_alarm(a->loop, &a->build_due, 0);
}
