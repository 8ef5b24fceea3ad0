/*
 * Why: settings as JSON, in the shape and spelling of the file (JSON is YAML), so that what /config shows can be loaded
 * again. Thread: control thread.
 */
#include "control/agent/options.h"

#include "control/agent/options_table.h"

struct writer {
    FILE *out;
    const struct rg_settings *settings;
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

/* One item of a list: a bare value, or a section of the rows below "list[]". */
static void write_item(struct writer *w, size_t list, size_t index)
{
    const struct rg_conf_option *all = rg_options_table.options;
    const char *target = (const char *)w->settings + index * all[list].stride;
    size_t prefix = strlen(all[list].path) + strlen("[].");
    if (all[list + 1].plural) {
        write_value(w, &all[list + 1], target);
        return;
    }
    fputc('{', w->out);
    w->needs_comma = false;
    for (size_t i = list + 1; i < rg_options_table.count; i++) {
        if (strncmp(all[i].path, all[list].path, prefix - 3) != 0 || all[i].type == RG_CONF_REFUSED)
            continue;
        write_name(w, all[i].path + prefix, strlen(all[i].path + prefix));
        write_value(w, &all[i], target);
    }
    fputc('}', w->out);
}

static void write_list(struct writer *w, size_t list)
{
    size_t count = rg_conf_list_count(&rg_options_table.options[list], w->settings);
    fputc('[', w->out);
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            fputc(',', w->out);
        write_item(w, list, i);
    }
    fputc(']', w->out);
    w->needs_comma = true;
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

void rg_options_write_json(const struct rg_settings *s, FILE *out)
{
    struct writer w = {out, s, false};
    const char *last = "";
    fputc('{', out);
    for (size_t i = 0; i < rg_options_table.count; i++) {
        const struct rg_conf_option *o = &rg_options_table.options[i];
        if (o->type == RG_CONF_REFUSED || strchr(o->path, '['))
            continue;
        const char *name = change_section(&w, last, o->path);
        write_name(&w, name, strlen(name));
        if (o->type == RG_CONF_LIST)
            write_list(&w, i);
        else
            write_value(&w, o, s);
        last = o->path;
    }
    change_section(&w, last, "");
    fputs("}\n", out);
}
