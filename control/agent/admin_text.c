/* What answers of the admin endpoint are read and written with. Pure. */
#include "control/agent/admin.h"

struct rg_str rg_admin_field(const struct rg_admin_request *req, enum rg_field_id id)
{
    for (uint16_t i = 0; i < req->head->n_fields; i++)
        if (req->head->fields[i].id == id)
            return rg_field_value(&req->head->fields[i]);
    return RG_STR_NONE;
}

struct rg_str rg_admin_named_field(const struct rg_admin_request *req, const char *name)
{
    for (uint16_t i = 0; i < req->head->n_fields; i++)
        if (rg_str_eq_nocase(rg_field_name(&req->head->fields[i]), rg_str_of(name)))
            return rg_field_value(&req->head->fields[i]);
    return RG_STR_NONE;
}

bool rg_admin_parameter(const struct rg_admin_request *req, const char *name, struct rg_str *ret)
{
    size_t name_len = strlen(name);
    struct rg_str rest = req->query;
    while (rest.len > 0) {
        rest.ptr++; /* the '?' or '&' */
        rest.len--;
        const char *end = rest.len ? memchr(rest.ptr, '&', rest.len) : NULL;
        struct rg_str pair = {rest.ptr, end ? (size_t)(end - rest.ptr) : rest.len};
        if (pair.len > name_len && pair.ptr[name_len] == '=' && memcmp(pair.ptr, name, name_len) == 0) {
            *ret = (struct rg_str){pair.ptr + name_len + 1, pair.len - name_len - 1};
            return true;
        }
        rest.ptr += pair.len;
        rest.len -= pair.len;
    }
    return false;
}
