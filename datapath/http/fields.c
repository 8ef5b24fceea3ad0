/* Methods and known fields: what the .def files say, as tables. A lookup costs the same for any number of fields. */
#include "datapath/base/assert.h"
#include "datapath/http/fields_table.h"

bool rg_method_is_safe(enum rg_method method)
{
    static const bool safe[RG_METHOD_COUNT] = {
#define RG_METHOD(id, name, safe) [RG_METHOD_##id] = safe,
#include "datapath/http/methods.def"
#undef RG_METHOD
    };
    RG_ASSERT((unsigned)method < RG_METHOD_COUNT);
    return safe[method];
}

#define HOP       RG_FIELD_IS_HOP
#define END       RG_FIELD_IS_END
#define FWD       RG_FIELD_IS_FWD
#define NOTRAILER RG_FIELD_IS_NOTRAILER
static const uint8_t flags_of[RG_FIELD_COUNT] = {
#define RG_FIELD(id, name, flags) [RG_FIELD_##id] = (flags),
#include "datapath/http/fields.def"
#undef RG_FIELD
};

static const uint8_t name_lens[RG_FIELD_COUNT] = {
#define RG_FIELD(id, name, flags) [RG_FIELD_##id] = sizeof(name) - 1,
#include "datapath/http/fields.def"
#undef RG_FIELD
};

#define RG_FIELD(id, name, flags) \
    _Static_assert(sizeof(name) <= RG_FIELD_NAME_MAX, "name too long for the hash: " name);
#include "datapath/http/fields.def"
#undef RG_FIELD

const char rg_field_names[RG_FIELD_COUNT][RG_FIELD_NAME_MAX] = {
#define RG_FIELD(id, name, flags) [RG_FIELD_##id] = name,
#include "datapath/http/fields.def"
#undef RG_FIELD
};

/* The two tables below come from the unit test of this file: see fields_table.h. */
const uint64_t rg_field_hash_factor = 0x44c5b4763fe31d03;
const uint8_t rg_field_slots[RG_FIELD_HASH_SLOTS] = {
    [2] = RG_FIELD_TRANSFER_ENCODING,
    [7] = RG_FIELD_EXPECT,
    [12] = RG_FIELD_TRACESTATE,
    [16] = RG_FIELD_X_FORWARDED_FOR,
    [18] = RG_FIELD_CONTENT_LENGTH,
    [26] = RG_FIELD_KEEP_ALIVE,
    [32] = RG_FIELD_PROXY_AUTHORIZATION,
    [39] = RG_FIELD_REFERER,
    [41] = RG_FIELD_TE,
    [42] = RG_FIELD_VIA,
    [44] = RG_FIELD_SEC_WEBSOCKET_ACCEPT,
    [50] = RG_FIELD_TRACEPARENT,
    [51] = RG_FIELD_DATE,
    [52] = RG_FIELD_CACHE_CONTROL,
    [62] = RG_FIELD_ORIGIN,
    [74] = RG_FIELD_SEC_WEBSOCKET_KEY,
    [75] = RG_FIELD_WWW_AUTHENTICATE,
    [76] = RG_FIELD_LOCATION,
    [79] = RG_FIELD_HOST,
    [87] = RG_FIELD_CONNECTION,
    [88] = RG_FIELD_EXPIRES,
    [91] = RG_FIELD_PROXY_AUTHENTICATE,
    [99] = RG_FIELD_CONTENT_ENCODING,
    [100] = RG_FIELD_CONTENT_RANGE,
    [110] = RG_FIELD_CONTENT_TYPE,
    [111] = RG_FIELD_FORWARDED,
    [118] = RG_FIELD_CONTENT_LOCATION,
    [136] = RG_FIELD_X_REQUEST_ID,
    [142] = RG_FIELD_TRAILER,
    [143] = RG_FIELD_UPGRADE,
    [157] = RG_FIELD_X_FORWARDED_PORT,
    [160] = RG_FIELD_HTTP2_SETTINGS,
    [162] = RG_FIELD_X_FORWARDED_HOST,
    [170] = RG_FIELD_RETRY_AFTER,
    [176] = RG_FIELD_PROXY_CONNECTION,
    [179] = RG_FIELD_MAX_FORWARDS,
    [180] = RG_FIELD_CONTENT_LANGUAGE,
    [190] = RG_FIELD_SET_COOKIE,
    [197] = RG_FIELD_AUTHORIZATION,
    [204] = RG_FIELD_COOKIE,
    [205] = RG_FIELD_AGE,
    [217] = RG_FIELD_X_REAL_IP,
    [220] = RG_FIELD_RANGE,
    [221] = RG_FIELD_VARY,
    [222] = RG_FIELD_SEC_WEBSOCKET_VERSION,
    [236] = RG_FIELD_USER_AGENT,
    [240] = RG_FIELD_X_FORWARDED_PROTO,
};

enum rg_field_id rg_field_lookup(const char *name, size_t len)
{
    char padded[RG_FIELD_NAME_MAX] = {0};
    if (len >= RG_FIELD_NAME_MAX)
        return RG_FIELD_OTHER;
    for (size_t i = 0; i < len; i++)
        padded[i] = rg_lower(name[i]);
    uint64_t w0 = rg_field_word(padded, 0), w1 = rg_field_word(padded, 1), w2 = rg_field_word(padded, 2);
    enum rg_field_id id = (enum rg_field_id)rg_field_by_words(w0, w1, w2);
    /* A NUL byte in the name looks like its end to the hash. */
    return name_lens[id] == len ? id : RG_FIELD_OTHER;
}

struct rg_str rg_field_id_name(enum rg_field_id id)
{
    RG_ASSERT((unsigned)id < RG_FIELD_COUNT);
    return (struct rg_str){rg_field_names[id], name_lens[id]};
}

unsigned rg_field_flags(enum rg_field_id id)
{
    RG_ASSERT((unsigned)id < RG_FIELD_COUNT);
    return flags_of[id];
}
