/*
 * Why: settings as JSON, in the shape and spelling of the file (JSON is YAML), so that what /config shows can be loaded
 * again. Thread: control thread.
 */
#include "control/options/options.h"

#include "control/options/options_table.h"

struct writer {
    FILE *out;
    bool needs_comma;
};

static void write_string(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            fprintf(out, "\\u%04x", c);
        else
            fputc(c, out);
    }
    fputc('"', out);
}

static void write_name(struct writer *w, const char *name, size_t len)
{
    fprintf(w->out, "%s\"%.*s\":", w->needs_comma ? "," : "", (int)len, name);
    w->needs_comma = true;
}

static void write_value(struct writer *w, const struct rg_conf_option *o, const void *target)
{
    char text[RG_CONF_TEXT_MAX];
    uint64_t number;
    rg_conf_format(o, target, text, sizeof(text));
    bool is_number = o->type == RG_CONF_INT && rg_conf_parse_uint(rg_str_of(text), &number);
    if (is_number || o->type == RG_CONF_BOOL)
        fputs(text, w->out);
    else
        write_string(w->out, text);
}

/* Length of the section's name with its dot that both paths begin with. */
static size_t common_section(const char *a, const char *b)
{
    size_t common = 0;
    for (size_t i = 0; a[i] && a[i] == b[i]; i++)
        if (a[i] == '.')
            common = i + 1;
    return common;
}

static size_t dots(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += *text == '.';
    return n;
}

/* Leaves the sections of `last` that `path` is not in, and enters those that are new. Returns the name within its
 * section. */
static const char *change_section(struct writer *w, const char *last, const char *path)
{
    size_t common = common_section(last, path);
    for (size_t i = 0; i < dots(last + common); i++)
        fputc('}', w->out);
    const char *name = path + common;
    for (const char *dot; (dot = strchr(name, '.')); name = dot + 1) {
        write_name(w, name, (size_t)(dot - name));
        fputc('{', w->out);
        w->needs_comma = false;
    }
    return name;
}

static void write_rows(struct writer *w, const char *prefix, const char *target);

/* One item of a list: a bare value, or a section of the rows below "list[]". */
static void write_item(struct writer *w, const struct rg_conf_option *list, const char *target)
{
    char prefix[RG_CONF_TEXT_MAX];
    if (list[1].plural) {
        write_value(w, &list[1], target);
        return;
    }
    snprintf(prefix, sizeof(prefix), "%s[].", list->path);
    write_rows(w, prefix, target);
    fputc('}', w->out);
    w->needs_comma = true;
}

static void write_list(struct writer *w, const struct rg_conf_option *list, const char *target)
{
    size_t count = rg_conf_list_count(list, target);
    fputc('[', w->out);
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            fputc(',', w->out);
        write_item(w, list, target + i * list->stride);
    }
    fputc(']', w->out);
    w->needs_comma = true;
}

/* An object, without its end, of all rows whose path begins with the prefix, but for those of lists in them, which
 * write_list visits. */
static void write_rows(struct writer *w, const char *prefix, const char *target)
{
    size_t skip = strlen(prefix);
    const char *last = "";
    fputc('{', w->out);
    w->needs_comma = false;
    for (size_t i = 0; i < rg_options_table.count; i++) {
        const struct rg_conf_option *o = &rg_options_table.options[i];
        if (strncmp(o->path, prefix, skip) != 0 || strchr(o->path + skip, '['))
            continue;
        const char *name = change_section(w, last, o->path + skip);
        write_name(w, name, strlen(name));
        if (o->type == RG_CONF_LIST)
            write_list(w, o, target);
        else
            write_value(w, o, target);
        last = o->path + skip;
    }
    change_section(w, last, "");
}

void rg_options_begin_json(const struct rg_settings *s, FILE *out)
{
    struct writer w = {out, false};
    write_rows(&w, "", (const char *)s);
}
