/*
 * A request and a response as policies see and edit them: views of what was parsed, and the fields in one array. A
 * field that goes is taken out of the array; one that is added stands behind those that were received, its line in the
 * policy's own memory or in the scratch. The writers (http/h1_write.h) copy the received ones by their rules and the
 * added ones as they are.
 *
 * Owner: whoever runs the chain; nothing in here outlives the writing of the head. Thread: the worker's.
 */
#ifndef RG_POLICY_VIEW_H
#define RG_POLICY_VIEW_H

#include "datapath/base/assert.h"
#include "datapath/http/h1_parse.h"
#include "datapath/policy/policy.h"

/* Text that is made for this message. */
struct rg_policy_scratch {
    char *at, *end;
};

struct rg_policy_head {
    struct rg_field *fields;
    uint16_t n, room;
    uint16_t n_received; /* those in front; behind them stand the ones that policies added */
    uint64_t names;      /* bits of all names that it has, or had: what has none of them is not there */
};

/* A bit of 64 that a name, in any case, has; others may have it, too. A known name has that of its id. */
static inline uint64_t rg_policy_name_bit(const char *name, size_t len, uint8_t id)
{
    if (id != RG_FIELD_OTHER)
        return UINT64_C(1) << (id & 63);
    unsigned first = (unsigned char)rg_lower(name[0]), last = (unsigned char)rg_lower(name[len - 1]);
    return UINT64_C(1) << ((7 * (unsigned)len + first + 3 * last) & 63);
}

/* Of n fields that were received, in an array that has room for more. */
static inline struct rg_policy_head rg_policy_head_of(struct rg_field *fields, uint16_t n, uint16_t room)
{
    struct rg_policy_head head = {fields, n, room, n, 0};
    for (uint16_t i = 0; i < n; i++)
        head.names |= rg_policy_name_bit(fields[i].name, fields[i].name_len, fields[i].id);
    return head;
}

/* What a policy answers instead of the upstream. Its fields are in `head`. */
struct rg_policy_answer {
    uint16_t status;
    struct rg_str type; /* Content-Type; "": no body */
    struct rg_str body;
    struct rg_policy_head head;
    bool may_store; /* else with Cache-Control: no-store */
};

struct rg_policy_request {
    /* What goes to the upstream, edited in place. */
    struct rg_str method;
    uint8_t method_id;
    struct rg_str path;  /* normal form */
    struct rg_str query; /* with its '?', or empty */
    struct rg_str host;  /* as in Host */
    bool host_is_set;    /* by a policy: the upstream gets it */
    struct rg_policy_head head;
    /* What is known of it. */
    struct rg_str client; /* address, without a port; "" on a UNIX socket */
    struct rg_str scheme, request_id;
    struct rg_str route;     /* its name */
    uint32_t context_bytes;  /* so much of the path's front belongs to the API, and gives way to the upstream's base */
    uint32_t prefix_bytes;   /* so much of the path was matched by a prefix, context included; else all of it */
    uint64_t (*clock)(void); /* monotonic microseconds; costs something: for those who need it to be exact */
    int64_t unix_ms;
    uint16_t worker;
    struct rg_policy_scratch scratch;
    struct rg_policy_answer answer;
};

struct rg_policy_response {
    uint16_t status;
    struct rg_policy_head head;
    struct rg_policy_scratch scratch;
    bool is_own; /* the gateway's or a policy's answer, not the upstream's */
};

/* A field name, looked up once. */
struct rg_policy_name {
    struct rg_str text; /* as it is written */
    uint64_t bit;       /* of rg_policy_head.names */
    uint8_t id;         /* enum rg_field_id */
};

struct rg_policy_name rg_policy_name_of(struct rg_str text); /* a view of it */

/* Of a literal that begins and ends with a letter: a constant. */
#define RG_POLICY_LETTER(c) ((size_t)(unsigned char)((c) | 0x20))
#define RG_POLICY_OTHER_BIT(name) \
    ((7 * (sizeof(name) - 1) + RG_POLICY_LETTER((name)[0]) + 3 * RG_POLICY_LETTER((name)[sizeof(name) - 2])) & 63)
#define RG_POLICY_NAME(name, field_id)                                                                    \
    {                                                                                                     \
        .text = {name, sizeof(name) - 1},                                                                 \
        .bit = UINT64_C(1) << ((field_id) != RG_FIELD_OTHER ? (field_id)&63 : RG_POLICY_OTHER_BIT(name)), \
        .id = field_id                                                                                    \
    }

static inline bool rg_policy_is_named(const struct rg_field *f, const struct rg_policy_name *name)
{
    if (name->id != RG_FIELD_OTHER || f->id != RG_FIELD_OTHER)
        return f->id == name->id;
    if (f->name_len != name->text.len)
        return false;
    return memcmp(f->name, name->text.ptr, f->name_len) == 0 || rg_str_eq_nocase(rg_field_name(f), name->text);
}

/* The first of them behind `after` (NULL: from the start), or NULL. */
const struct rg_field *rg_policy_find_field(const struct rg_policy_head *head, const struct rg_policy_name *name,
                                            const struct rg_field *after);
void rg_policy_remove_field(struct rg_policy_head *head, const struct rg_policy_name *name);
/* The one that was found: no other of its name goes. */
void rg_policy_remove_found(struct rg_policy_head *head, const struct rg_field *found);
/* A compiled line (rg_policy_line_make), or one of rg_policy_line_begin. There is room: the chain has counted. */
void rg_policy_add_field(struct rg_policy_head *head, const struct rg_field *line);

/*
 * For `prepare`: "name: value" as a line in the arena, or only the name. Refuses what is no field, and fields that
 * frame the message or that the gateway itself writes. path: of the object that has `name` and `value`; of a name, its
 * own.
 */
enum rg_policy_side { RG_POLICY_OF_REQUEST, RG_POLICY_OF_RESPONSE };
int rg_policy_line_make(struct rg_policy_making *m, enum rg_policy_side side, const char *path, struct rg_str name,
                        struct rg_str value, struct rg_field *ret);
int rg_policy_name_make(struct rg_policy_making *m, enum rg_policy_side side, const char *path, struct rg_str name,
                        struct rg_policy_name *ret);
/* A line of the policy's own making, of names and values that are known to be good. -ENOMEM. */
int rg_policy_line_copy(struct rg_arena *arena, struct rg_str name, struct rg_str value, struct rg_field *ret);

/* Text in the scratch: NULL where there is no room for n bytes. What is written there is taken by advancing `at`. */
static inline char *rg_policy_scratch_room(struct rg_policy_scratch *s, size_t n)
{
    return (size_t)(s->end - s->at) >= n ? s->at : NULL;
}

/* A line of the parts, in the scratch. false: no room. */
bool rg_policy_line_write(struct rg_policy_scratch *s, const struct rg_policy_name *name, struct rg_str value,
                          struct rg_field *ret);
bool rg_policy_line_number(struct rg_policy_scratch *s, const struct rg_policy_name *name, uint64_t n,
                           struct rg_field *ret);
/* It takes the place of all of its name. */
void rg_policy_set_field(struct rg_policy_head *head, const struct rg_field *line);

/* The JSON body that the answers of policies have: {"error":"...","message":"..."}. In the arena; -ENOMEM. */
int rg_policy_body_make(struct rg_arena *arena, const char *error, const char *message, struct rg_str *ret);

#endif
