/* See effects.h. */
#include "control/platform/effects.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void rg_effects_init(struct rg_effects *effects)
{
    *effects = (struct rg_effects){.end = &effects->first};
}

void rg_effects_fini(struct rg_effects *effects)
{
    for (struct rg_effect *e = effects->first, *next; e; e = next) {
        next = e->next;
        free(e);
    }
    rg_effects_init(effects);
}

void rg_effects_add(struct rg_effects *effects, enum rg_effect_kind kind, const char *target, const char *text)
{
    size_t len = text ? strlen(text) : 0;
    struct rg_effect *e = malloc(sizeof(*e) + len + 1);
    if (!e) {
        effects->lost = true;
        return;
    }
    *e = (struct rg_effect){.kind = kind, .len = len};
    snprintf(e->target, sizeof(e->target), "%s", target);
    if (len)
        memcpy(e->text, text, len);
    e->text[len] = '\0';
    *effects->end = e;
    effects->end = &e->next;
    effects->count++;
}

void rg_effects_move(struct rg_effects *to, struct rg_effects *from)
{
    if (from->first) {
        *to->end = from->first;
        to->end = from->end;
        to->count += from->count;
    }
    to->lost = to->lost || from->lost;
    rg_effects_init(from);
}
