/*
 * Any bytes as a document in YAML from a network: they are refused with at least one problem, or give JSON values
 * within the limits, which read the same again when they are written as YAML. Such values are decoded by a table with
 * every type of parameter, strictly and tolerantly.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "control/common/params.h"
#include "control/common/yaml_json.h"
#include "control/common/yaml_write.h"
#include "datapath/base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BYTES_MAX 65536

struct item {
    struct rg_str name;
    int64_t count;
};

struct sample {
    struct rg_str text, scalar, any;
    bool on, given;
    int64_t number;
    uint64_t wait;
    int32_t mode;
    struct item one;
    struct rg_param_list items, words;
};

static const char *const modes[] = {"allow", "deny", NULL};

static const struct rg_param item_fields[] = {
    {.name = "name",
     .type = RG_PARAM_STRING,
     .offset = offsetof(struct item, name),
     .required = true,
     .not_empty = true},
    {.name = "count", .type = RG_PARAM_INT, .offset = offsetof(struct item, count), .min = 1, .max = 9},
    {.name = NULL},
};

static const struct rg_param word = {.name = "", .type = RG_PARAM_STRING, .scalar = true};

static const struct rg_param fields[] = {
    {.name = "text", .type = RG_PARAM_STRING, .offset = offsetof(struct sample, text)},
    {.name = "scalar", .type = RG_PARAM_STRING, .offset = offsetof(struct sample, scalar), .scalar = true},
    {.name = "any", .type = RG_PARAM_ANY, .offset = offsetof(struct sample, any)},
    {.name = "on",
     .type = RG_PARAM_BOOL,
     .offset = offsetof(struct sample, on),
     .present = offsetof(struct sample, given) + 1},
    {.name = "number", .type = RG_PARAM_INT, .offset = offsetof(struct sample, number), .min = -10, .initial = "3"},
    {.name = "wait", .type = RG_PARAM_DURATION, .offset = offsetof(struct sample, wait), .max = 60000000},
    {.name = "mode", .type = RG_PARAM_ENUM, .offset = offsetof(struct sample, mode), .words = modes},
    {.name = "one", .type = RG_PARAM_OBJECT, .offset = offsetof(struct sample, one), .fields = item_fields},
    {.name = "items",
     .type = RG_PARAM_LIST,
     .offset = offsetof(struct sample, items),
     .fields = item_fields,
     .size = sizeof(struct item),
     .max = 4},
    {.name = "words",
     .type = RG_PARAM_LIST,
     .offset = offsetof(struct sample, words),
     .item = &word,
     .size = sizeof(struct rg_str),
     .not_empty = true},
    {.name = NULL},
};

/* Values, with what aliases stand for; the walk itself is bounded by what it checks. */
static size_t count(const json_t *value, unsigned depth)
{
    size_t n = 1, i;
    const char *key;
    json_t *child;
    RG_ASSERT(depth <= RG_YAML_DEPTH_MAX);
    json_object_foreach((json_t *)(uintptr_t)value, key, child) n += 1 + count(child, depth + 1);
    json_array_foreach((json_t *)(uintptr_t)value, i, child) n += count(child, depth + 1);
    RG_ASSERT(n <= RG_YAML_NODES_MAX);
    return n;
}

static bool decode(const struct rg_yaml_json *doc, bool tolerant)
{
    static struct rg_problems problems;
    struct rg_arena arena;
    struct sample s = {.mode = 0};
    struct rg_params_source source = {doc->value, "x", doc->written, tolerant};
    rg_problems_init(&problems);
    rg_arena_init(&arena);
    int r = rg_params_decode(fields, &source, &arena, &s, &problems);
    RG_ASSERT(r == 0 || r == -EINVAL);
    RG_ASSERT((r == 0) == !rg_problems_any(&problems));
    if (r == 0) {
        RG_ASSERT(s.number >= -10 && s.wait <= 60000000 && s.mode >= 0 && s.mode <= 1 && s.items.n <= 4);
        for (size_t i = 0; i < s.items.n; i++)
            RG_ASSERT(((struct item *)s.items.items)[i].name.len > 0);
        json_t *any = s.any.len > 0 ? json_loadb(s.any.ptr, s.any.len, JSON_DECODE_ANY, NULL) : NULL;
        RG_ASSERT(s.any.len == 0 || any);
        json_decref(any);
    }
    rg_arena_fini(&arena);
    rg_problems_fini(&problems);
    return r == 0;
}

static void check_round_trip(const json_t *value)
{
    static struct rg_problems problems;
    struct rg_yaml_json again;
    char *text = NULL;
    size_t len;
    rg_problems_init(&problems);
    RG_ASSERT(rg_yaml_write(value, &text, &len) == 0);
    RG_ASSERT(rg_yaml_json((struct rg_str){text, len}, SIZE_MAX, &again, &problems) == 0);
    RG_ASSERT(json_equal(value, again.value));
    rg_yaml_json_fini(&again);
    rg_problems_fini(&problems);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct rg_problems problems;
    struct rg_yaml_json doc;
    rg_problems_init(&problems);
    int r = rg_yaml_json((struct rg_str){(const char *)data, size}, BYTES_MAX, &doc, &problems);
    RG_ASSERT(r == 0 || r == -EINVAL);
    RG_ASSERT((r == 0) == !rg_problems_any(&problems));
    rg_problems_fini(&problems);
    if (r < 0)
        return 0;
    if (count(doc.value, 0) < 2000) /* else it takes too long for each of many inputs */
        check_round_trip(doc.value);
    bool strict = decode(&doc, false), tolerant = decode(&doc, true);
    RG_ASSERT(!strict || tolerant); /* what is strictly right is right */
    rg_yaml_json_fini(&doc);
    return 0;
}
