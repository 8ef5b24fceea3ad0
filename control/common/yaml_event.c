/* Why: a syntax error reads the same in a configuration and in a document from the network. See yaml_event.h. */
#include "control/common/yaml_event.h"

#include "control/common/conf.h"

static size_t start_of(struct rg_str text, size_t line)
{
    size_t i = 0;
    for (size_t l = 0; l < line && i < text.len; i++)
        l += text.ptr[i] == '\n';
    return i;
}

/* Column of a tab in the indentation of a line; 0: none. */
static uint32_t tab_column(struct rg_str text, size_t line)
{
    size_t i = start_of(text, line);
    for (uint32_t col = 1; i < text.len && (text.ptr[i] == ' ' || text.ptr[i] == '\t'); i++, col++)
        if (text.ptr[i] == '\t')
            return col;
    return 0;
}

/* "[::]:80" without quotes begins a list, of which two colons are no item. */
static bool is_bare_address(struct rg_str text, yaml_mark_t at)
{
    size_t i = start_of(text, at.line) + at.column;
    return i + 1 < text.len && text.ptr[i] == ':' && text.ptr[i + 1] == ':';
}

void rg_yaml_refuse_syntax(const yaml_parser_t *p, struct rg_str text, const char *path, struct rg_conf_errors *errors)
{
    yaml_mark_t at = p->error == YAML_READER_ERROR ? p->mark : p->problem_mark;
    char got[RG_CONF_TEXT_MAX];
    uint32_t tab = tab_column(text, at.line);
    if (tab > 0) {
        struct rg_conf_mark mark = {(uint32_t)at.line + 1, tab};
        rg_conf_errors_add(errors, mark, path, "a tab", "spaces for indentation", NULL);
        return;
    }
    snprintf(got, sizeof(got), "malformed YAML (%s%s%s)", p->problem ? p->problem : "unreadable", p->context ? " " : "",
             p->context ? p->context : "");
    rg_conf_errors_add(errors, rg_yaml_mark(at), path, got, "well-formed YAML",
                       is_bare_address(text, at)
                           ? "an address of IPv6 in brackets or in a list needs quotes, like \"[::]:80\""
                           : "see the line itself and the one before it: indentation, quotes, colons");
}
