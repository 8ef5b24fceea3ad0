/* Why: what is wrong with a document reads the same, whoever found it. See problems.h. */
#include "control/common/problems.h"

#include "control/common/json.h"

void rg_problems_init(struct rg_problems *problems)
{
    rg_conf_errors_init(&problems->errors);
}

void rg_problems_fini(struct rg_problems *problems)
{
    rg_conf_errors_fini(&problems->errors);
}

void rg_problems_add(struct rg_problems *problems, const char *path, const char *got, const char *wanted,
                     const char *remedy)
{
    rg_conf_errors_add(&problems->errors, (struct rg_conf_mark){0, 0}, path, got, wanted, remedy);
}

void rg_problems_say(struct rg_problems *problems, struct rg_str path, struct rg_str sentence)
{
    rg_conf_errors_say(&problems->errors, (struct rg_conf_mark){0, 0}, path, sentence);
}

bool rg_problems_get(const struct rg_problems *problems, size_t index, struct rg_str *ret_path, struct rg_str *ret_text)
{
    if (index >= problems->errors.count)
        return false;
    const struct rg_conf_error *e = &problems->errors.list[index];
    size_t skip = e->path_len > 0 ? e->path_len + 2 : 0; /* with the ": " behind it */
    *ret_path = (struct rg_str){e->text, e->path_len};
    *ret_text = rg_str_of(e->text + skip);
    return true;
}

static bool append_json(json_t *list, struct rg_str path, struct rg_str text)
{
    return json_array_append_new(
               list, json_pack("{s:o, s:o}", "field", rg_json_text(path), "message", rg_json_text(text))) == 0;
}

json_t *rg_problems_json(const struct rg_problems *problems)
{
    json_t *list = json_array();
    struct rg_str path, text;
    char rest[64];
    size_t used = 0, i = 0;
    bool ok = list != NULL;
    for (; ok && rg_problems_get(problems, i, &path, &text); i++) {
        path.len = path.len < RG_PROBLEM_PATH_MAX ? path.len : RG_PROBLEM_PATH_MAX - 1;
        used += path.len + text.len;
        if (used > RG_PROBLEMS_JSON_MAX)
            break;
        ok = append_json(list, path, text);
    }
    size_t more = problems->errors.count - i + problems->errors.more;
    if (ok && more > 0) {
        snprintf(rest, sizeof(rest), "and %zu more", more);
        ok = append_json(list, RG_STR(""), rg_str_of(rest));
    }
    if (ok)
        return list;
    json_decref(list);
    return NULL;
}

static struct rg_str text_member(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return json_is_string(value) ? (struct rg_str){json_string_value(value), json_string_length(value)} : RG_STR("");
}

void rg_problems_from_json(struct rg_problems *problems, const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct rg_str path = text_member(json_array_get(list, i), "field");
        struct rg_str text = text_member(json_array_get(list, i), "message");
        if (text.len > 0)
            rg_problems_say(problems, path, text);
    }
}

void rg_problems_write(const struct rg_problems *problems, const char *separator, FILE *out)
{
    for (uint32_t i = 0; i < problems->errors.count; i++) {
        const struct rg_conf_error *e = &problems->errors.list[i];
        if (i > 0)
            fputs(separator, out);
        if (e->mark.line > 0)
            fprintf(out, "line %u, column %u: ", e->mark.line, e->mark.col);
        fputs(e->text, out);
    }
    if (problems->errors.more > 0)
        fprintf(out, "%sand %u more", problems->errors.count > 0 ? separator : "", problems->errors.more);
}
