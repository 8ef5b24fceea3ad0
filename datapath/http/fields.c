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
const uint64_t rg_field_hash_factor = 0x27cd5f9ec8c694cd;
const uint8_t rg_field_slots[RG_FIELD_HASH_SLOTS] = {
    [3] = RG_FIELD_LOCATION,
    [13] = RG_FIELD_X_REAL_IP,
    [15] = RG_FIELD_TE,
    [18] = RG_FIELD_CONTENT_TYPE,
    [19] = RG_FIELD_EXPECT,
    [30] = RG_FIELD_SEC_WEBSOCKET_KEY,
    [31] = RG_FIELD_HOST,
    [40] = RG_FIELD_TRAILER,
    [50] = RG_FIELD_CONNECTION,
    [61] = RG_FIELD_RETRY_AFTER,
    [70] = RG_FIELD_TRACEPARENT,
    [75] = RG_FIELD_X_FORWARDED_PROTO,
    [78] = RG_FIELD_AUTHORIZATION,
    [86] = RG_FIELD_DATE,
    [87] = RG_FIELD_PROXY_AUTHORIZATION,
    [88] = RG_FIELD_TRACESTATE,
    [93] = RG_FIELD_CONTENT_RANGE,
    [95] = RG_FIELD_CONTENT_LENGTH,
    [111] = RG_FIELD_AGE,
    [116] = RG_FIELD_MAX_FORWARDS,
    [126] = RG_FIELD_ORIGIN,
    [127] = RG_FIELD_CONTENT_ENCODING,
    [131] = RG_FIELD_REFERER,
    [135] = RG_FIELD_EXPIRES,
    [141] = RG_FIELD_TRANSFER_ENCODING,
    [144] = RG_FIELD_SEC_WEBSOCKET_VERSION,
    [147] = RG_FIELD_UPGRADE,
    [153] = RG_FIELD_PROXY_AUTHENTICATE,
    [156] = RG_FIELD_FORWARDED,
    [159] = RG_FIELD_X_FORWARDED_FOR,
    [167] = RG_FIELD_CONTENT_LOCATION,
    [179] = RG_FIELD_KEEP_ALIVE,
    [183] = RG_FIELD_CONTENT_LANGUAGE,
    [186] = RG_FIELD_RANGE,
    [200] = RG_FIELD_CACHE_CONTROL,
    [203] = RG_FIELD_VARY,
    [204] = RG_FIELD_HTTP2_SETTINGS,
    [207] = RG_FIELD_X_FORWARDED_PORT,
    [208] = RG_FIELD_VIA,
    [215] = RG_FIELD_X_CLIENT_CERT_SUBJECT,
    [217] = RG_FIELD_SEC_WEBSOCKET_ACCEPT,
    [219] = RG_FIELD_SET_COOKIE,
    [224] = RG_FIELD_X_REQUEST_ID,
    [231] = RG_FIELD_PROXY_CONNECTION,
    [234] = RG_FIELD_USER_AGENT,
    [242] = RG_FIELD_WWW_AUTHENTICATE,
    [246] = RG_FIELD_COOKIE,
    [252] = RG_FIELD_X_FORWARDED_HOST,
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
