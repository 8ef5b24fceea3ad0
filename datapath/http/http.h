/* The words of HTTP that all HTTP code shares: methods, known fields, a parsed field. Thread: any (constant data). */
#ifndef RG_HTTP_HTTP_H
#define RG_HTTP_HTTP_H

#include "datapath/base/str.h"

enum rg_method {
    RG_METHOD_OTHER,
#define RG_METHOD(id, name, safe) RG_METHOD_##id,
#include "datapath/http/methods.def"
#undef RG_METHOD
    RG_METHOD_COUNT
};

bool rg_method_is_safe(enum rg_method method); /* OTHER is not */

enum rg_field_id {
    RG_FIELD_OTHER,
#define RG_FIELD(id, name, flags) RG_FIELD_##id,
#include "datapath/http/fields.def"
#undef RG_FIELD
    RG_FIELD_COUNT
};

enum rg_field_flag {
    RG_FIELD_IS_HOP = 1,
    RG_FIELD_IS_END = 2,
    RG_FIELD_IS_FWD = 4,
    RG_FIELD_IS_NOTRAILER = 8,
};

/* A field line. The line runs from name to the CR LF after value (optional white space may stand between and after). */
struct rg_field {
    const char *name;
    const char *value; /* without surrounding white space */
    uint32_t value_len;
    uint16_t name_len;
    uint8_t id;         /* enum rg_field_id */
    bool name_is_plain; /* the name is made of letters, digits and '-' only */
};

static inline struct rg_str rg_field_name(const struct rg_field *f)
{
    return (struct rg_str){f->name, f->name_len};
}
static inline struct rg_str rg_field_value(const struct rg_field *f)
{
    return (struct rg_str){f->value, f->value_len};
}

/* Of host:port or [host]:port, well-formed; the port may be empty. */
static inline struct rg_str rg_host_without_port(struct rg_str host)
{
    size_t n = host.len;
    while (n > 0 && (unsigned)host.ptr[n - 1] - '0' < 10u)
        n--;
    return n > 0 && host.ptr[n - 1] == ':' ? (struct rg_str){host.ptr, n - 1} : host;
}

enum rg_field_id rg_field_lookup(const char *name, size_t len); /* any case; constant time in the number of fields */
struct rg_str rg_field_id_name(enum rg_field_id id);
unsigned rg_field_flags(enum rg_field_id id);

#endif
