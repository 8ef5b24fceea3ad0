/*
 * Why: docs/ringgate.schema.json (JSON Schema, draft 7) from options.def. The decoder is stricter where a schema has no
 * words for it (ranges of durations, prefixes with host bits); it never refuses less. Thread: the generator has one.
 */
#include "control/docs/docs.h"

#include "control/options/options_table.h"

#define PORT_PATTERN "[1-9][0-9]{0,4}"
#define V6_PATTERN   "\\\\[[0-9A-Fa-f:.]+(%[^\\\\]]+)?\\\\]"
#define HOST_PATTERN "([0-9]+\\\\.[0-9]+\\\\.[0-9]+\\\\.[0-9]+|[Ll][Oo][Cc][Aa][Ll][Hh][Oo][Ss][Tt]|" V6_PATTERN ")"

static void indent(FILE *out, unsigned depth)
{
    fprintf(out, "%*s", (int)depth * 2, "");
}

static void write_string(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            fputc('\\', out);
        fputc(*text, out);
    }
    fputc('"', out);
}

static void write_words(const struct rg_conf_option *o, FILE *out)
{
    const char *between = "";
    fputs("\"enum\": [", out);
    for (const struct rg_conf_word *w = o->words; w && w->name; w++) {
        if (w->refused)
            continue;
        fputs(between, out);
        write_string(out, w->name);
        between = ", ";
    }
    fputc(']', out);
}

static void write_range(const struct rg_conf_option *o, FILE *out)
{
    fprintf(out, "\"type\": \"integer\", \"minimum\": %llu, \"maximum\": %llu", (unsigned long long)o->min,
            (unsigned long long)o->max);
}

static void write_address(const struct rg_conf_option *o, FILE *out)
{
    fputs("\"anyOf\": [{\"type\": \"integer\", \"minimum\": 1, \"maximum\": 65535}, {\"type\": \"string\", "
          "\"pattern\": \"^(",
          out);
    if (o->can_be_off)
        fputs("off|", out);
    if (o->use == RG_ADDRESS_REPLICA)
        fputs("([Hh][Tt][Tt][Pp]|[Hh]2[Cc])://" HOST_PATTERN "(:" PORT_PATTERN ")?/?|", out);
    fputs(PORT_PATTERN "|" HOST_PATTERN ":" PORT_PATTERN "|[Uu][Nn][Ii][Xx]:/[^/].*)$\"}]", out);
}

static void write_type(const struct rg_conf_option *o, FILE *out)
{
    const char *off = o->can_be_off ? "off|" : "";
    switch (o->type) {
    case RG_CONF_BOOL:
        fputs("\"type\": \"boolean\"", out);
        break;
    case RG_CONF_INT:
        fputs(o->words ? "\"anyOf\": [{" : "", out);
        write_range(o, out);
        if (o->words) {
            fputs("}, {", out);
            write_words(o, out);
            fputs("}]", out);
        }
        break;
    case RG_CONF_DURATION:
        fputs("\"type\": \"string\", \"pattern\": \"^(0|[1-9][0-9]*)(ms|s|m|h)$\"", out);
        break;
    case RG_CONF_SIZE:
        fputs("\"anyOf\": [{", out);
        write_range(o, out);
        fputs("}, {\"type\": \"string\", \"pattern\": \"^(0|[1-9][0-9]*)(B|KiB|MiB|GiB|TiB)?$\"}]", out);
        break;
    case RG_CONF_ENUM:
        write_words(o, out);
        break;
    case RG_CONF_TARGET:
        fprintf(out, "\"type\": \"string\", \"maxLength\": %zu, \"pattern\": \"^(%s/[!\\\"$-~]*)$\"", o->size - 1, off);
        break;
    case RG_CONF_FILE:
        fprintf(out, "\"type\": \"string\", \"maxLength\": %zu, \"pattern\": \"^(%s%s/.*[^/])$\"", o->size - 1, off,
                o->must_be_path ? "" : "-|");
        break;
    case RG_CONF_ADDRESS:
        write_address(o, out);
        break;
    case RG_CONF_PREFIX:
        fputs("\"type\": \"string\", \"pattern\": \"^[0-9A-Fa-f:.]+(/(0|[1-9][0-9]{0,2}))?$\"", out);
        break;
    case RG_CONF_CUSTOM:
        fputs(o->custom->schema, out);
        break;
    case RG_CONF_LIST:
        break;
    }
}

static void write_value(const struct rg_conf_option *o, FILE *out)
{
    uint64_t number;
    fputs("{\"description\": ", out);
    write_string(out, o->help);
    fputs(", ", out);
    write_type(o, out);
    if (o->preset) {
        bool is_bare =
            o->type == RG_CONF_BOOL || (o->type == RG_CONF_INT && rg_conf_parse_uint(rg_str_of(o->preset), &number));
        fputs(", \"default\": ", out);
        if (is_bare)
            fputs(o->preset, out);
        else
            write_string(out, o->preset);
    }
    fputc('}', out);
}

/* A row's path below a section; NULL: it is elsewhere. */
static const char *below(const struct rg_conf_option *o, const char *section)
{
    size_t n = strlen(section);
    if (n == 0)
        return o->path;
    return strncmp(o->path, section, n) == 0 && o->path[n] == '.' ? o->path + n + 1 : NULL;
}

/* The members of a schema object, without its braces. */
static void write_section(const char *section, bool may_be_empty, unsigned depth, FILE *out);

static void write_list(const struct rg_conf_option *list, unsigned depth, FILE *out)
{
    char items[RG_CONF_TEXT_MAX];
    snprintf(items, sizeof(items), "%s[]", list->path);
    const struct rg_conf_option *value = rg_conf_option_of(&rg_options_table, items);
    fputs("{\"description\": ", out);
    write_string(out, list->help);
    fprintf(out,
            ", \"type\": \"array\", \"minItems\": %llu, \"maxItems\": %llu, \"items\": ", (unsigned long long)list->min,
            (unsigned long long)list->max);
    if (value) {
        write_value(value, out);
    } else {
        fputc('{', out);
        write_section(items, false, depth, out);
        fputc('}', out);
    }
    fputc('}', out);
}

static void write_member(const char *section, struct rg_str name, unsigned depth, FILE *out)
{
    char path[RG_CONF_TEXT_MAX];
    snprintf(path, sizeof(path), "%s%s%.*s", section, *section ? "." : "", (int)name.len, name.ptr);
    const struct rg_conf_option *o = rg_conf_option_of(&rg_options_table, path);
    indent(out, depth);
    fprintf(out, "\"%.*s\": ", (int)name.len, name.ptr);
    if (o && o->type == RG_CONF_LIST) {
        write_list(o, depth, out);
    } else if (o) {
        write_value(o, out);
    } else {
        fputc('{', out);
        write_section(path, true, depth, out);
        fputc('}', out);
    }
}

static void write_required(const char *section, FILE *out)
{
    const char *lead = "\"required\": [";
    bool any = false;
    for (size_t i = 0; i < rg_options_table.count; i++) {
        const struct rg_conf_option *o = &rg_options_table.options[i];
        const char *rest = o->required ? below(o, section) : NULL;
        if (!rest || strpbrk(rest, ".["))
            continue;
        fputs(any ? ", " : lead, out);
        write_string(out, rest);
        any = true;
    }
    fputs(any ? "], " : "", out);
}

static void write_section(const char *section, bool may_be_empty, unsigned depth, FILE *out)
{
    struct rg_str last = RG_STR_NONE;
    fprintf(out, "\"type\": %s, \"additionalProperties\": false, ",
            may_be_empty ? "[\"object\", \"null\"]" : "\"object\"");
    write_required(section, out);
    fputs("\"properties\": {", out);
    for (size_t i = 0; i < rg_options_table.count; i++) {
        const struct rg_conf_option *o = &rg_options_table.options[i];
        const char *rest = below(o, section);
        struct rg_str name = {rest, rest ? strcspn(rest, ".[") : 0};
        if (!rest || rg_str_eq(name, last))
            continue;
        fputs(last.ptr ? ",\n" : "\n", out);
        write_member(section, name, depth + 1, out);
        last = name;
    }
    fputc('\n', out);
    indent(out, depth);
    fputc('}', out);
}

void rg_docs_schema(FILE *out)
{
    fputs("{\"$schema\": \"http://json-schema.org/draft-07/schema#\",\n"
          "\"title\": \"ringgate.yaml\",\n"
          "\"description\": \"Configuration of ringgate. Made by ringgate-docs from control/options/options.def.\",\n",
          out);
    write_section("", true, 0, out);
    fputs("}\n", out);
}
