/*
 * A compilation on its way. Private to compile*.c, and to tests that look at what an artifact is lowered to.
 * Owner: the stack of whoever compiles. Thread: the control thread.
 */
#ifndef RG_ARTIFACT_COMPILE_PARTS_H
#define RG_ARTIFACT_COMPILE_PARTS_H

#include "control/artifact/artifact_parts.h"
#include "control/artifact/compile.h"
#include "control/artifact/lower.h"

/* A definition whose templates are rendered. */
struct rg_compile_rendered {
    const struct rg_artifact *artifact;
    struct rg_arena arena;
    struct rg_template_found found;
    struct rg_spec spec;
    struct rg_lower_source source;
    json_t *json; /* NULL: nothing was to be rendered */
};

struct rg_compile {
    const struct rg_compile_context *context;
    struct rg_problems problems; /* what can be shown of them goes to the caller's */
    struct rg_compile_rendered self, provider;
    struct rg_arena arena;
    struct rg_lower lower;
    size_t shown_from, shown_to; /* problems of rendering itself: they name what is missing, and show no value */
};

void rg_compile_init(struct rg_compile *c, const struct rg_compile_context *context);
void rg_compile_fini(struct rg_compile *c);

/* Up to routes without their policies, in c->lower. 0, -EINVAL (c->problems say why) or -ENOMEM. */
int rg_compile_lower(struct rg_compile *c, const struct rg_artifact *artifact);

/* Hands the problems on, without what must not be shown. */
void rg_compile_show(const struct rg_compile *c, struct rg_problems *why);

#endif
