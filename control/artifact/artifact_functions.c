/* Why: what each template function does. See artifact_template.h for owner and thread. */
#include "control/artifact/artifact_template.h"

#include <stdarg.h>

/* The gateway's own settings and tokens are none of an artifact's business. */
#define OWN_PREFIX "RINGGATE_"

bool rg_template_fail(struct rg_template_eval *e, const char *wanted, const char *got, ...)
{
    va_list args;
    va_start(args, got);
    vsnprintf(e->got, sizeof(e->got), got, args);
    va_end(args);
    snprintf(e->wanted, sizeof(e->wanted), "%s", wanted);
    return false;
}

static bool fail_memory(struct rg_template_eval *e)
{
    e->no_memory = true;
    return false;
}

char *rg_template_room(struct rg_template_eval *e, size_t n)
{
    e->found->work += n;
    if (e->found->work > RG_TEMPLATE_WORK_MAX) {
        rg_template_fail(e, "less work", "template functions that make too much text");
        return NULL;
    }
    char *p = rg_arena_alloc(e->arena, n);
    e->no_memory |= !p;
    return p;
}

static bool remember_secret(struct rg_template_eval *e, struct rg_str handle)
{
    for (const struct rg_template_name *n = e->found->secrets; n; n = n->next)
        if (rg_str_eq(n->text, handle))
            return true;
    struct rg_template_name *name = rg_arena_alloc(e->arena, sizeof(*name));
    struct rg_str path;
    if (!name || !rg_arena_copy(e->arena, handle, &name->text) || !rg_arena_copy(e->arena, rg_str_of(e->path), &path))
        return fail_memory(e);
    name->path = path.ptr;
    name->next = e->found->secrets;
    e->found->secrets = name;
    return true;
}

static bool call_secret(struct rg_template_eval *e, const struct rg_template_value *args, struct rg_template_value *ret)
{
    char quoted[256];
    struct rg_str handle = args[0].text;
    rg_conf_quote(handle, quoted, sizeof(quoted));
    if (!args[0].literal || handle.len == 0)
        return rg_template_fail(e, "secret \"HANDLE\"", "a secret without a handle in quotes");
    if (!e->secret_is_allowed)
        return rg_template_fail(e, "secrets in `params` of policies and in `auth.value` only",
                                "the secret %s where logs and answers could show it", quoted);
    if (!remember_secret(e, handle))
        return false;
    ret->secret = ret->hidden = true;
    if (!e->source)
        return true;
    if (e->source->secret && e->source->secret(e->source->owner, handle, &ret->text))
        return true;
    return rg_template_fail(e, "a secret that the control plane has and gives to this gateway",
                            "the secret %s, which can't be had", quoted);
}

static bool call_env(struct rg_template_eval *e, const struct rg_template_value *args, struct rg_template_value *ret)
{
    struct rg_str name = args[0].text;
    size_t own = sizeof(OWN_PREFIX) - 1;
    char quoted[256];
    rg_conf_quote(name, quoted, sizeof(quoted));
    ret->hidden = true;
    if (!args[0].literal || name.len == 0)
        return rg_template_fail(e, "env \"NAME\"", "env without a name in quotes");
    if (name.len >= own && memcmp(name.ptr, OWN_PREFIX, own) == 0)
        return rg_template_fail(e, "a variable that is not the gateway's own", "the environment variable %s", quoted);
    if (e->source)
        ret->missing = !e->source->env || !e->source->env(e->source->owner, name, &ret->text);
    if (ret->missing)
        rg_template_fail(e, "one that is set where the gateway runs, or a default", "the environment variable %s",
                         quoted);
    return true;
}

/* default FALLBACK VALUE */
static bool call_default(struct rg_template_eval *e, const struct rg_template_value *args,
                         struct rg_template_value *ret)
{
    (void)e;
    *ret = args[1].missing || args[1].text.len == 0 ? args[0] : args[1];
    return true;
}

/* required MESSAGE VALUE */
static bool call_required(struct rg_template_eval *e, const struct rg_template_value *args,
                          struct rg_template_value *ret)
{
    char quoted[256];
    *ret = args[1];
    if (!e->source || (!args[1].missing && args[1].text.len > 0))
        return true;
    rg_conf_quote(args[0].text, quoted, sizeof(quoted));
    return rg_template_fail(e, "a value that is not empty",
                            args[0].hidden ? "nothing for a required value%.0s" : "nothing for a required value: %s",
                            quoted);
}

static bool call_cased(struct rg_template_eval *e, const struct rg_template_value *arg, bool up,
                       struct rg_template_value *ret)
{
    char *p = rg_template_room(e, arg->text.len);
    if (!p)
        return false;
    for (size_t i = 0; i < arg->text.len; i++) {
        char c = arg->text.ptr[i];
        p[i] = !up ? rg_lower(c) : c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
    }
    *ret = *arg;
    ret->text.ptr = p;
    return true;
}

static bool call_upper(struct rg_template_eval *e, const struct rg_template_value *args, struct rg_template_value *ret)
{
    return call_cased(e, args, true, ret);
}

static bool call_lower(struct rg_template_eval *e, const struct rg_template_value *args, struct rg_template_value *ret)
{
    return call_cased(e, args, false, ret);
}

static bool call_trim(struct rg_template_eval *e, const struct rg_template_value *args, struct rg_template_value *ret)
{
    (void)e;
    *ret = args[0];
    while (ret->text.len > 0 && rg_template_is_blank(ret->text.ptr[0])) {
        ret->text.ptr++;
        ret->text.len--;
    }
    while (ret->text.len > 0 && rg_template_is_blank(ret->text.ptr[ret->text.len - 1]))
        ret->text.len--;
    return true;
}

/* replace OLD NEW VALUE: every one, from the left. */
static bool call_replace(struct rg_template_eval *e, const struct rg_template_value *args,
                         struct rg_template_value *ret)
{
    struct rg_str old = args[0].text, new = args[1].text, rest = args[2].text;
    const char *at;
    size_t n = 0;
    *ret = args[2];
    ret->hidden |= args[0].hidden | args[1].hidden;
    ret->secret |= args[0].secret | args[1].secret;
    if (old.len == 0 || rest.len == 0)
        return true;
    size_t most = rest.len / old.len * new.len + rest.len; /* far from overflow: what there is was allowed */
    char *out = rg_template_room(e, most);
    if (!out)
        return false;
    while ((at = memmem(rest.ptr, rest.len, old.ptr, old.len))) {
        size_t before = (size_t)(at - rest.ptr);
        memcpy(out + n, rest.ptr, before);
        if (new.len > 0)
            memcpy(out + n + before, new.ptr, new.len);
        n += before + new.len;
        rest = (struct rg_str){at + old.len, rest.len - before - old.len};
        if (rest.len == 0)
            break;
    }
    if (rest.len > 0)
        memcpy(out + n, rest.ptr, rest.len);
    ret->text = (struct rg_str){out, n + rest.len};
    return true;
}

static bool call_redact(struct rg_template_eval *e, const struct rg_template_value *args, struct rg_template_value *ret)
{
    (void)e;
    *ret = args[0];
    ret->hidden = true;
    return true;
}

static const struct function {
    const char *name;
    size_t args;
    bool (*call)(struct rg_template_eval *e, const struct rg_template_value *args, struct rg_template_value *ret);
} functions[] = {
    {"secret", 1, call_secret},     {"env", 1, call_env},         {"default", 2, call_default},
    {"required", 2, call_required}, {"upper", 1, call_upper},     {"lower", 1, call_lower},
    {"trim", 1, call_trim},         {"replace", 3, call_replace}, {"redact", 1, call_redact},
};

bool rg_template_call(struct rg_template_eval *e, struct rg_str name, const struct rg_template_value *args, size_t n,
                      struct rg_template_value *ret)
{
    char quoted[256];
    rg_conf_quote(name, quoted, sizeof(quoted));
    *ret = (struct rg_template_value){.text = RG_STR("")};
    for (size_t i = 0; i < sizeof(functions) / sizeof(*functions); i++) {
        if (!rg_str_eq(name, rg_str_of(functions[i].name)))
            continue;
        if (n == functions[i].args)
            return functions[i].call(e, args, ret);
        return rg_template_fail(e,
                                functions[i].args == 1   ? "1 argument"
                                : functions[i].args == 2 ? "2"
                                                         : "3",
                                "%zu arguments for the template function %s", n, quoted);
    }
    return rg_template_fail(e, "secret, env, default, required, upper, lower, trim, replace or redact",
                            "the template function %s", quoted);
}
