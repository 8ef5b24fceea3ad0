/* See definitions.h. */
#include "control/platform/definitions.h"

#include <errno.h>
#include <stdlib.h>

int rg_text_seal(struct rg_store *store, struct rg_str text, const char *uuid, struct rg_str *ret)
{
    size_t len;
    char *sealed = rg_seal_close(&store->seal, rg_str_of(uuid), text, &len);
    if (!sealed) {
        rg_store_fail(store, -ENOMEM);
        return -ENOMEM;
    }
    *ret = (struct rg_str){sealed, len};
    return 0;
}

int rg_definition_seal(struct rg_store *store, const json_t *definition, const char *uuid, struct rg_str *ret)
{
    char *text = definition ? json_dumps(definition, JSON_COMPACT) : NULL;
    if (!text) {
        rg_store_fail(store, -ENOMEM);
        return -ENOMEM;
    }
    struct rg_str view = rg_str_of(text);
    int rc = rg_text_seal(store, view, uuid, ret);
    explicit_bzero(text, view.len);
    free(text);
    return rc;
}

char *rg_text_open(struct rg_store *store, struct rg_str sealed, const char *uuid, size_t *ret_len)
{
    char *text = rg_seal_open(&store->seal, rg_str_of(uuid), sealed, ret_len);
    if (!text)
        rg_store_fail(store, -EBADMSG);
    return text;
}

json_t *rg_definition_open(struct rg_store *store, struct rg_str sealed, const char *uuid)
{
    size_t len;
    json_error_t error;
    char *text = rg_text_open(store, sealed, uuid, &len);
    if (!text)
        return NULL;
    json_t *definition = json_loadb(text, len, 0, &error);
    explicit_bzero(text, len);
    free(text);
    if (!definition)
        rg_store_fail(store, -EBADMSG);
    return definition;
}
