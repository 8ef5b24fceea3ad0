/* Why: what is wrong with a document reads the same, whoever found it. See problems.h. */
#include "control/common/problems.h"

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
        fprintf(out, "%sand %u more", separator, problems->errors.more);
}
