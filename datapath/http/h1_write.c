/*
 * Copying of field lines, common to requests (h1_write_request.c) and responses (h1_write_response.c).
 *
 * Field lines stand one behind another in the buffer that was received, so those that stay form few runs, most often
 * one, and each run is one memcpy. Which lines go is a bit set for the known fields; only unknown names are looked at.
 */
#include "datapath/http/h1_chars.h"
#include "datapath/http/h1_write_out.h"

#define LOOKALIKE_MAX             32 /* no known name is longer */
#define RG_FIELD(id, name, flags) _Static_assert(sizeof(name) - 1 <= LOOKALIKE_MAX, name);
#include "datapath/http/fields.def"
#undef RG_FIELD

enum { HOP = RG_FIELD_IS_HOP, END = RG_FIELD_IS_END, FWD = RG_FIELD_IS_FWD, NOTRAILER = RG_FIELD_IS_NOTRAILER };

#define RG_FIELD(id, name, flags) | (((flags)&HOP) != 0 ? FIELD_BIT(RG_FIELD_##id) : 0)
const uint64_t rg_h1_write_hop_ids = 0
#include "datapath/http/fields.def"
    ;
#undef RG_FIELD

#define RG_FIELD(id, name, flags) | (((flags)&FWD) != 0 ? FIELD_BIT(RG_FIELD_##id) : 0)
const uint64_t rg_h1_write_forward_ids = 0
#include "datapath/http/fields.def"
    ;
#undef RG_FIELD

/* The byte behind the CR LF of the line. The parser has seen it; only white space may stand before it. */
static inline const char *line_end(const struct rg_field *f)
{
    const char *p = f->value + f->value_len;
    while (*p == ' ' || *p == '\t')
        p++;
    RG_ASSERT(*p == '\r');
    return p + 2;
}

static bool is_listed(const struct rg_field *f, const struct rg_framing *framing)
{
    for (unsigned i = 0; i < framing->n_listed; i++)
        if (rg_str_eq_nocase(rg_field_name(f), framing->listed[i]))
            return true;
    return false;
}

static bool has_prefix(const struct rg_field *f, struct rg_str prefix)
{
    return f->name_len >= prefix.len && rg_str_eq_nocase((struct rg_str){f->name, prefix.len}, prefix);
}

/* Fields by which our own parts speak to each other; a stranger's are forged. */
static bool is_internal(const struct rg_field *f)
{
    return has_prefix(f, RG_STR("x-ringgate-")) || has_prefix(f, RG_STR("x-wso2-internal-"));
}

/* The first bytes in any case; a few other names have them too. */
static inline bool may_be_internal(const struct rg_field *f)
{
    const uint32_t to_lower = 0x20202020;
    uint32_t first, ringgate, wso2;
    if (f->name_len < sizeof(first))
        return false;
    memcpy(&first, f->name, sizeof(first));
    memcpy(&ringgate, "x-ri", sizeof(ringgate));
    memcpy(&wso2, "x-ws", sizeof(wso2));
    first |= to_lower;
    return first == (ringgate | to_lower) || first == (wso2 | to_lower);
}

/*
 * Servers that hand fields to programs as variables (CGI and its heirs) make one name of Content-Length, Content_Length
 * and Content.Length. What looks like a field that counts here must not become one there.
 */
RG_COLD static bool is_lookalike_slow(const struct rg_field *f)
{
    char name[LOOKALIKE_MAX];
    unsigned len = f->name_len < sizeof(name) ? f->name_len : sizeof(name);
    for (unsigned i = 0; i < len; i++)
        name[i] = rg_char_is_plain_name(f->name[i]) ? f->name[i] : '-';
    struct rg_field plain = {.name = name, .name_len = (uint16_t)len};
    unsigned guarded = RG_FIELD_IS_HOP | RG_FIELD_IS_END | RG_FIELD_IS_FWD;
    /* A longer name is none that is known, but may begin like an internal one. */
    return is_internal(&plain) ||
           (f->name_len <= sizeof(name) && (rg_field_flags(rg_field_lookup(name, len)) & guarded));
}

/* Of a name that is not known. */
static inline bool unknown_stays(const struct rg_field *f, const struct selection *s)
{
    if (RG_UNLIKELY(s->framing->n_listed != 0) && is_listed(f, s->framing))
        return false;
    if (s->drop_internal && RG_UNLIKELY(may_be_internal(f)) && is_internal(f))
        return false;
    return !s->drop_lookalikes || RG_LIKELY(f->name_is_plain) || !is_lookalike_slow(f);
}

bool rg_h1_write_stays(const struct rg_field *f, const struct selection *s)
{
    return !(s->drop_ids & FIELD_BIT(f->id)) && (f->id != RG_FIELD_OTHER || unknown_stays(f, s));
}

uint64_t rg_h1_write_fields(struct out *o, const struct rg_field *fields, unsigned n, const struct selection *s)
{
    uint64_t present = 0;
    const char *run = NULL, *run_end = NULL;
    for (unsigned i = 0; i < n; i++) {
        const struct rg_field *f = &fields[i];
        uint64_t bit = FIELD_BIT(f->id);
        present |= bit;
        if ((s->drop_ids & bit) != 0 || (f->id == RG_FIELD_OTHER && !unknown_stays(f, s)))
            continue;
        if (f->name != run_end) {
            if (run != NULL)
                out_bytes(o, run, (size_t)(run_end - run));
            run = f->name;
        }
        run_end = line_end(f);
    }
    if (run != NULL)
        out_bytes(o, run, (size_t)(run_end - run));
    return present;
}

RG_COLD void rg_h1_write_added(struct out *o, const struct rg_field *fields, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        const struct rg_field *f = &fields[i];
        RG_ASSERT(f->value == f->name + f->name_len + 2);
        out_bytes(o, f->name, (size_t)f->name_len + 2 + f->value_len + 2);
    }
}

void rg_h1_write_list(struct out *o, const struct rg_field *fields, unsigned n, enum rg_field_id id)
{
    for (unsigned i = 0; i < n; i++) {
        if (fields[i].id != id || fields[i].value_len == 0)
            continue;
        out_str(o, rg_field_value(&fields[i]));
        out_lit(o, ", ");
    }
}

void rg_h1_write_via(struct out *o, const struct rg_field *fields, unsigned n, bool present, uint8_t version)
{
    out_lit(o, "Via: ");
    if (RG_UNLIKELY(present))
        rg_h1_write_list(o, fields, n, RG_FIELD_VIA);
    if (RG_LIKELY(version == 1))
        out_lit(o, "1.1 ringgate\r\n");
    else if (version == 0)
        out_lit(o, "1.0 ringgate\r\n");
    else
        out_lit(o, "2.0 ringgate\r\n");
}
