/* See view.h. */
#include "datapath/policy/view.h"

#include <errno.h>
#include <stdio.h>

#include "datapath/base/ascii.h"
#include "datapath/http/h1_chars.h"

#define NAME_MAX_BYTES  256
#define VALUE_MAX_BYTES 8192

struct rg_policy_name rg_policy_name_of(struct rg_str text)
{
    uint8_t id = (uint8_t)rg_field_lookup(text.ptr, text.len);
    uint64_t bit = text.len > 0 ? rg_policy_name_bit(text.ptr, text.len, id) : 0;
    return (struct rg_policy_name){text, bit, id};
}

const struct rg_field *rg_policy_find_field(const struct rg_policy_head *head, const struct rg_policy_name *name,
                                            const struct rg_field *after)
{
    const struct rg_field *end = head->fields + head->n;
    if (!(head->names & name->bit))
        return NULL;
    for (const struct rg_field *f = after ? after + 1 : head->fields; f < end; f++)
        if (rg_policy_is_named(f, name))
            return f;
    return NULL;
}

void rg_policy_remove_field(struct rg_policy_head *head, const struct rg_policy_name *name)
{
    const struct rg_field *found = rg_policy_find_field(head, name, NULL);
    if (!found)
        return;
    uint16_t kept = (uint16_t)(found - head->fields), received = head->n_received;
    for (uint16_t i = kept; i < head->n; i++) {
        if (rg_policy_is_named(&head->fields[i], name))
            received = (uint16_t)(received - (i < head->n_received));
        else
            head->fields[kept++] = head->fields[i];
    }
    head->n = kept;
    head->n_received = received;
}

void rg_policy_remove_found(struct rg_policy_head *head, const struct rg_field *found)
{
    uint16_t at = (uint16_t)(found - head->fields);
    RG_ASSERT(at < head->n);
    head->n--;
    head->n_received = (uint16_t)(head->n_received - (at < head->n_received));
    memmove(&head->fields[at], &head->fields[at + 1], (size_t)(head->n - at) * sizeof *head->fields);
}

void rg_policy_add_field(struct rg_policy_head *head, const struct rg_field *line)
{
    RG_ASSERT(head->n < head->room);
    head->fields[head->n++] = *line;
    head->names |= rg_policy_name_bit(line->name, line->name_len, line->id);
}

void rg_policy_set_field(struct rg_policy_head *head, const struct rg_field *line)
{
    struct rg_policy_name name = {rg_field_name(line), rg_policy_name_bit(line->name, line->name_len, line->id),
                                  line->id};
    rg_policy_remove_field(head, &name);
    rg_policy_add_field(head, line);
}

/* ---- lines ---- */

static size_t line_len(struct rg_str name, struct rg_str value)
{
    return name.len + 2 + value.len + 2;
}

static struct rg_field put_line(char *to, const struct rg_policy_name *name, struct rg_str value)
{
    char *at = to + name->text.len;
    memcpy(to, name->text.ptr, name->text.len);
    memcpy(at, ": ", 2);
    if (value.len > 0)
        memcpy(at + 2, value.ptr, value.len);
    memcpy(at + 2 + value.len, "\r\n", 2);
    return (struct rg_field){.name = to,
                             .value = at + 2,
                             .value_len = (uint32_t)value.len,
                             .name_len = (uint16_t)name->text.len,
                             .id = name->id,
                             .name_is_plain = true}; /* nobody takes it for a look-alike: it was looked at */
}

int rg_policy_line_copy(struct rg_arena *arena, struct rg_str name, struct rg_str value, struct rg_field *ret)
{
    struct rg_policy_name known = rg_policy_name_of(name);
    char *line = rg_arena_alloc(arena, line_len(name, value));
    if (!line)
        return -ENOMEM;
    *ret = put_line(line, &known, value);
    return 0;
}

bool rg_policy_line_write(struct rg_policy_scratch *s, const struct rg_policy_name *name, struct rg_str value,
                          struct rg_field *ret)
{
    size_t n = line_len(name->text, value);
    char *to = rg_policy_scratch_room(s, n);
    if (!to)
        return false;
    *ret = put_line(to, name, value);
    s->at += n;
    return true;
}

bool rg_policy_line_number(struct rg_policy_scratch *s, const struct rg_policy_name *name, uint64_t n,
                           struct rg_field *ret)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n != 0);
    return rg_policy_line_write(s, name, (struct rg_str){digits + at, sizeof digits - at}, ret);
}

/* ---- what policies may name ---- */

/* Why a known field is not theirs; NULL: it is. */
static const char *why_not(enum rg_field_id id, enum rg_policy_side side)
{
    switch (id) {
    case RG_FIELD_HOST:
        return "is set by the policy host-rewrite";
    case RG_FIELD_CONTENT_LENGTH:
    case RG_FIELD_TRANSFER_ENCODING:
    case RG_FIELD_TRAILER:
    case RG_FIELD_EXPECT:
        return "says where the message ends, which is the gateway's to decide";
    case RG_FIELD_VIA:
    case RG_FIELD_X_REQUEST_ID:
        return "is written by the gateway itself";
    case RG_FIELD_DATE:
        return side == RG_POLICY_OF_RESPONSE ? "is the upstream's or the gateway's own" : NULL;
    case RG_FIELD_TRACEPARENT:
    case RG_FIELD_TRACESTATE:
        return side == RG_POLICY_OF_REQUEST ? "is written by the gateway itself" : NULL;
    case RG_FIELD_SEC_WEBSOCKET_KEY:
    case RG_FIELD_SEC_WEBSOCKET_VERSION:
    case RG_FIELD_SEC_WEBSOCKET_ACCEPT:
        return "belongs to the handshake of a WebSocket";
    default:
        break;
    }
    unsigned flags = rg_field_flags(id);
    if (flags & RG_FIELD_IS_HOP)
        return "concerns the connection only, which is the gateway's";
    if (side == RG_POLICY_OF_REQUEST && (flags & RG_FIELD_IS_FWD))
        return "is written by the gateway itself";
    return NULL;
}

static bool begins_nocase(struct rg_str s, struct rg_str prefix)
{
    return s.len >= prefix.len && rg_str_eq_nocase((struct rg_str){s.ptr, prefix.len}, prefix);
}

static int check_name(struct rg_policy_making *m, enum rg_policy_side side, const char *at, struct rg_str name)
{
    char dashed[NAME_MAX_BYTES];
    if (name.len == 0 || name.len > NAME_MAX_BYTES || !rg_str_is(name, RG_CHAR_TOKEN))
        return rg_policy_refuse(m, at, "'%.*s' is no field name: wanted 1 to %d letters, digits and -_.!#$%%&'*+^`|~",
                                (int)(name.len < 64 ? name.len : 64), name.ptr, NAME_MAX_BYTES);
    /* Programs that get fields as variables read Content_Length as Content-Length. */
    for (size_t i = 0; i < name.len; i++)
        dashed[i] = rg_char_is_plain_name(name.ptr[i]) ? name.ptr[i] : '-';
    struct rg_str plain = {dashed, name.len};
    if (begins_nocase(plain, RG_STR("x-ringgate-")) || begins_nocase(plain, RG_STR("x-wso2-internal-")))
        return rg_policy_refuse(m, at, "'%.*s' is kept for the gateway's own use: choose another name", (int)name.len,
                                name.ptr);
    const char *why = why_not(rg_field_lookup(plain.ptr, plain.len), side);
    if (why)
        return rg_policy_refuse(m, at, "'%.*s' can't be changed by a policy: it %s", (int)name.len, name.ptr, why);
    return 0;
}

int rg_policy_name_make(struct rg_policy_making *m, enum rg_policy_side side, const char *path, struct rg_str name,
                        struct rg_policy_name *ret)
{
    struct rg_str copy;
    int rc = check_name(m, side, path, name);
    if (rc < 0)
        return rc;
    if (!rg_arena_copy(m->arena, name, &copy))
        return -ENOMEM;
    *ret = rg_policy_name_of(copy);
    return 0;
}

int rg_policy_line_make(struct rg_policy_making *m, enum rg_policy_side side, const char *path, struct rg_str name,
                        struct rg_str value, struct rg_field *ret)
{
    char at[128];
    snprintf(at, sizeof at, "%s.name", path);
    int rc = check_name(m, side, at, name);
    if (rc < 0)
        return rc;
    snprintf(at, sizeof at, "%s.value", path);
    value = rg_str_trim(value);
    if (value.len > VALUE_MAX_BYTES)
        return rg_policy_refuse(m, at, "has %zu bytes: wanted %d at most", value.len, VALUE_MAX_BYTES);
    if (value.len > 0 && !rg_str_is(value, RG_CHAR_VALUE))
        return rg_policy_refuse(m, at, "has a line end or another control byte, which no field may have");
    m->field_bytes += (uint32_t)line_len(name, value);
    return rg_policy_line_copy(m->arena, name, value, ret);
}

int rg_policy_body_make(struct rg_arena *arena, const char *error, const char *message, struct rg_str *ret)
{
    size_t room = strlen(error) + strlen(message) + sizeof "{\"error\":\"\",\"message\":\"\"}\n";
    char *body = rg_arena_alloc(arena, room);
    if (!body)
        return -ENOMEM;
    int n = snprintf(body, room, "{\"error\":\"%s\",\"message\":\"%s\"}\n", error, message);
    *ret = (struct rg_str){body, (size_t)n};
    return 0;
}
