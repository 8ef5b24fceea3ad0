/*
 * Why: policies and artifacts declare what they take; here is the one place that checks it and says what is wrong. The
 * walk goes by the table, so its depth is that of the table. See params.h.
 */
#include "control/common/params.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "control/common/conf.h"
#include "control/common/params_text.h"

struct walk {
    const json_t *written;
    bool tolerant;
    struct rg_arena *arena;
    struct rg_problems *problems;
    bool bad;
    bool no_memory;
    char path[RG_PROBLEM_PATH_MAX];
};

static void decode_value(struct walk *w, const struct rg_param *row, const json_t *value, void *at);
static void decode_fields(struct walk *w, const struct rg_param *fields, const json_t *object, char *out);

/* ---- Problems ---- */

static void refuse(struct walk *w, const char *got, const char *wanted, const char *remedy)
{
    rg_problems_add(w->problems, w->path, got, wanted, remedy);
    w->bad = true;
}

static void refuse_value(struct walk *w, const struct rg_param *row, const json_t *value)
{
    char got[RG_CONF_TEXT_MAX], wanted[RG_CONF_TEXT_MAX], remedy[RG_CONF_TEXT_MAX];
    rg_params_describe(value, w->written, got, sizeof(got));
    rg_params_wanted(row, wanted, sizeof(wanted));
    rg_params_remedy(row, value, w->written, remedy, sizeof(remedy));
    refuse(w, got, wanted, remedy);
}

static void refuse_key(struct walk *w, const struct rg_param *fields, const char *key, size_t len)
{
    char wanted[RG_CONF_TEXT_MAX], remedy[RG_CONF_TEXT_MAX];
    size_t before = strlen(w->path);
    rg_conf_path_key(w->path, sizeof(w->path), (struct rg_str){key, len});
    rg_params_names(fields, (struct rg_str){key, len}, wanted, sizeof(wanted), remedy, sizeof(remedy));
    refuse(w, "an unknown key", wanted, remedy);
    w->path[before] = '\0';
}

/* ---- Values ---- */

static void keep_text(struct walk *w, struct rg_str text, void *at)
{
    if (!rg_arena_copy(w->arena, text, at))
        w->no_memory = true;
}

static void keep_json(struct walk *w, const json_t *value, void *at)
{
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    if (text)
        keep_text(w, rg_str_of(text), at);
    else
        w->no_memory = true;
    free(text);
}

static void decode_string(struct walk *w, const struct rg_param *row, const json_t *value, void *at)
{
    char number[RG_PARAMS_NUMBER_MAX];
    struct rg_str text;
    if (json_is_string(value))
        text = (struct rg_str){json_string_value(value), json_string_length(value)};
    else if (!row->scalar || !rg_params_scalar_text(value, w->written, number, &text)) {
        refuse_value(w, row, value);
        return;
    }
    if (row->not_empty && text.len == 0)
        refuse_value(w, row, value);
    else
        keep_text(w, text, at);
}

/* 3.0 is a whole number too, up to where a double holds them all. */
static bool whole_number(const json_t *value, int64_t *ret)
{
    if (json_is_integer(value)) {
        *ret = json_integer_value(value);
        return true;
    }
    double real = json_is_real(value) ? json_real_value(value) : 0.5;
    if (fabs(real) > 9007199254740992.0 || floor(real) < real)
        return false;
    *ret = (int64_t)real;
    return true;
}

static void decode_int(struct walk *w, const struct rg_param *row, const json_t *value, void *at)
{
    int64_t number;
    if (whole_number(value, &number) && number >= row->min && (row->max == 0 || number <= row->max))
        *(int64_t *)at = number;
    else
        refuse_value(w, row, value);
}

static void decode_duration(struct walk *w, const struct rg_param *row, const json_t *value, void *at)
{
    uint64_t us;
    struct rg_str text = {json_string_value(value), json_string_length(value)};
    if (json_is_string(value) && rg_params_parse_duration(text, &us) && us <= INT64_MAX && (int64_t)us >= row->min &&
        (row->max == 0 || (int64_t)us <= row->max))
        *(uint64_t *)at = us;
    else
        refuse_value(w, row, value);
}

static void decode_enum(struct walk *w, const struct rg_param *row, const json_t *value, void *at)
{
    struct rg_str text = {json_string_value(value), json_string_length(value)};
    for (int32_t i = 0; json_is_string(value) && row->words[i]; i++)
        if (rg_str_eq(text, rg_str_of(row->words[i]))) {
            *(int32_t *)at = i;
            return;
        }
    refuse_value(w, row, value);
}

static void decode_list(struct walk *w, const struct rg_param *row, const json_t *value, void *at)
{
    size_t n = json_array_size(value), before = strlen(w->path);
    size_t most = row->max > 0 ? (size_t)row->max : RG_PARAM_LIST_MAX;
    if (!json_is_array(value) || n > most || (row->not_empty && n == 0)) {
        refuse_value(w, row, value);
        return;
    }
    char *items = n > 0 ? rg_arena_array(w->arena, n, row->size) : NULL;
    if (n > 0 && !items) {
        w->no_memory = true;
        return;
    }
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(value, i);
        rg_conf_path_index(w->path, sizeof(w->path), i);
        if (!row->fields)
            decode_value(w, row->item, item, items + i * row->size);
        else if (json_is_object(item))
            decode_fields(w, row->fields, item, items + i * row->size);
        else
            refuse_value(w, &(struct rg_param){.type = RG_PARAM_OBJECT}, item);
        w->path[before] = '\0';
    }
    *(struct rg_param_list *)at = (struct rg_param_list){items, n};
}

static void decode_value(struct walk *w, const struct rg_param *row, const json_t *value, void *at)
{
    switch (row->type) {
    case RG_PARAM_STRING:
        decode_string(w, row, value, at);
        break;
    case RG_PARAM_BOOL:
        if (json_is_boolean(value))
            *(bool *)at = json_is_true(value);
        else
            refuse_value(w, row, value);
        break;
    case RG_PARAM_INT:
        decode_int(w, row, value, at);
        break;
    case RG_PARAM_DURATION:
        decode_duration(w, row, value, at);
        break;
    case RG_PARAM_ENUM:
        decode_enum(w, row, value, at);
        break;
    case RG_PARAM_OBJECT:
        if (json_is_object(value))
            decode_fields(w, row->fields, value, at);
        else
            refuse_value(w, row, value);
        break;
    case RG_PARAM_LIST:
        decode_list(w, row, value, at);
        break;
    case RG_PARAM_ANY:
        keep_json(w, value, at);
        break;
    }
}

/* ---- Objects ---- */

/* A row's initial value is JSON of ours: that it is good is the table's business (its tests decode an empty object). */
static void decode_initial(struct walk *w, const struct rg_param *row, void *at)
{
    if (row->initial) {
        json_t *value = json_loads(row->initial, JSON_DECODE_ANY, NULL);
        if (value)
            decode_value(w, row, value, at);
        else
            refuse(w, "an initial value that is not JSON", "JSON", NULL);
        json_decref(value);
    } else if (row->type == RG_PARAM_OBJECT) {
        decode_fields(w, row->fields, NULL, at);
    }
}

/* NULL: left out, or as good as. */
static const json_t *member_of(const struct walk *w, const json_t *object, const char *name)
{
    const json_t *found = json_object_get(object, name);
    const char *key;
    json_t *value;
    if (!w->tolerant)
        return found;
    /* jansson's iterators take a value that is not const, and leave it alone. */
    if (!found)
        json_object_foreach((json_t *)(uintptr_t)object, key,
                            value) if (rg_str_eq_nocase(rg_str_of(key), rg_str_of(name))) found = value;
    return json_is_null(found) ? NULL : found;
}

static bool is_known(const struct rg_param *fields, struct rg_str key)
{
    for (const struct rg_param *row = fields; row->name; row++)
        if (rg_str_eq(rg_str_of(row->name), key))
            return true;
    return false;
}

/* object NULL: left out, so that nothing in it is required. */
static void decode_fields(struct walk *w, const struct rg_param *fields, const json_t *object, char *out)
{
    size_t before = strlen(w->path), len;
    const char *key;
    json_t *ignored;
    for (const struct rg_param *row = fields; row->name; row++) {
        const json_t *value = member_of(w, object, row->name);
        void *at = out + row->offset;
        rg_conf_path_key(w->path, sizeof(w->path), rg_str_of(row->name));
        if (row->present > 0)
            *(bool *)(out + row->present - 1) = value != NULL;
        if (value)
            decode_value(w, row, value, at);
        else if (row->required && object)
            refuse_value(w, row, NULL);
        else
            decode_initial(w, row, at);
        w->path[before] = '\0';
    }
    if (w->tolerant)
        return;
    json_object_keylen_foreach((json_t *)(uintptr_t)object, key, len,
                               ignored) if (!is_known(fields, (struct rg_str){key, len}))
        refuse_key(w, fields, key, len);
}

int rg_params_decode(const struct rg_param *fields, const struct rg_params_source *source, struct rg_arena *arena,
                     void *ret, struct rg_problems *problems)
{
    struct walk w = {.written = source->written, .tolerant = source->tolerant, .arena = arena, .problems = problems};
    json_t *nothing = json_object();
    if (!nothing)
        return -ENOMEM;
    snprintf(w.path, sizeof(w.path), "%s", source->path ? source->path : "");
    bool is_absent = !source->value || (source->tolerant && json_is_null(source->value));
    const json_t *value = is_absent ? nothing : source->value;
    if (json_is_object(value))
        decode_fields(&w, fields, value, ret);
    else
        refuse_value(&w, &(struct rg_param){.type = RG_PARAM_OBJECT}, value);
    json_decref(nothing);
    return w.no_memory ? -ENOMEM : w.bad ? -EINVAL : 0;
}
