/* Why: docs/OPTIONS.md from options.def and the table of flags. Thread: the generator has one. */
#include "control/docs/docs.h"

#include "control/options/options_flags.h"
#include "control/options/options_table.h"

static const char intro[] =
    "# Options\n"
    "\n"
    "<!-- Made by ringgate-docs from control/options/options.def: change that, then run ringgate-docs --write docs. "
    "-->\n"
    "\n"
    "`ringgate` reads `" RG_CONFIG_DEFAULT
    "`, or the file that `-c` names. It is YAML, read strictly: an unknown key, a\n"
    "wrong type or a value out of range is an error with its place, all errors are shown at once, and nothing starts "
    "(exit\n"
    "status 2) or, at a reload, the running configuration stays. `ringgate -t` checks a file. Anchors, aliases, tags "
    "and\n"
    "several documents are refused; a file has at most 1 MiB, 10,000 keys and values, and 32 levels of nesting.\n"
    "\n"
    "A reload (`SIGHUP` or `POST /reload`) applies every option at once, except those marked *restart*: they keep "
    "their\n"
    "value, and the log names each one that differs. [ringgate.schema.json](ringgate.schema.json) describes the file "
    "to\n"
    "editors and tools.\n"
    "\n"
    "## Values\n"
    "\n"
    "| kind | how it is written |\n"
    "|---|---|\n"
    "| duration | a whole number and `ms`, `s`, `m` or `h`: `500ms`, `10s`, `2m`. The unit is never left out. |\n"
    "| size | bytes, or a whole number and `KiB`, `MiB`, `GiB` or `TiB` (powers of 1024): `500`, `32KiB`. |\n"
    "| address | `80`, `127.0.0.1:80`, `[::]:80` or `unix:/path`. Numeric, or `localhost`, which is `127.0.0.1`. The "
    "replica's may also be `http://127.0.0.1:80`. |\n"
    "| prefix | an address, or one with a length: `10.0.0.0/8`, `fd00::/8`. |\n"
    "\n"
    "## Flags\n"
    "\n"
    "Flags win over the file. Without a file, `--replica` is enough for a start.\n"
    "\n"
    "| flag | meaning |\n"
    "|---|---|\n";

void rg_docs_cell(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '|')
            fputc('\\', out);
        fputc(*text, out);
    }
}

void rg_docs_flags(const struct rg_flag_table *table, FILE *out)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct rg_flag *f = &table->flags[i];
        if (!f->help)
            continue;
        fputs("| ", out);
        if (f->letter)
            fprintf(out, "`-%c`, ", f->letter);
        fprintf(out, "`--%s", f->name);
        if (f->value) {
            fputc(' ', out);
            rg_docs_cell(out, f->value);
        }
        fputs("` | ", out);
        rg_docs_cell(out, f->help);
        fputs(" |\n", out);
    }
}

/* The part of a path that heads its table: "replica.health"; "" at the top. */
static size_t section_len(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot ? (size_t)(dot - path) : 0;
}

static void write_default(const struct rg_conf_option *o, const char *listeners, FILE *out)
{
    if (o->preset)
        fprintf(out, "`%s`", o->preset);
    else if (o->required || strcmp(o->path, "replica.address") == 0)
        fputs("must be given", out);
    else if (strcmp(o->path, "listeners") == 0)
        fputs(listeners, out);
    else if (o->type == RG_CONF_LIST)
        fputs("empty", out);
}

static void write_row(const struct rg_conf_option *o, const char *listeners, FILE *out)
{
    char wanted[RG_CONF_TEXT_MAX];
    rg_conf_wanted(o, wanted, sizeof(wanted));
    fprintf(out, "| `%s` | ", o->path);
    rg_docs_cell(out, wanted);
    fputs(" | ", out);
    write_default(o, listeners, out);
    fputs(" | ", out);
    rg_docs_cell(out, o->help);
    fprintf(out, "%s |\n", o->fixed ? " *restart*" : "");
}

static void write_refused(FILE *out)
{
    fputs("\n## Not supported by this version\n\n"
          "These names are known and refused with a message that says so.\n\n| option | instead |\n|---|---|\n",
          out);
    for (size_t i = 0; i < rg_options_table.count; i++) {
        const struct rg_conf_option *o = &rg_options_table.options[i];
        for (const struct rg_conf_word *w = o->words; w && w->name; w++)
            if (w->refused)
                fprintf(out, "| `%s: %s` | %s |\n", o->path, w->name, w->refused);
    }
}

void rg_docs_table(const struct rg_conf_table *table, const char *listeners, FILE *out)
{
    const char *last = NULL;
    for (size_t i = 0; i < table->count; i++) {
        const struct rg_conf_option *o = &table->options[i];
        size_t len = section_len(o->path);
        if (!last || len != section_len(last) || strncmp(last, o->path, len) != 0) {
            if (len > 0)
                fprintf(out, "\n### %.*s\n", (int)len, o->path);
            fputs("\n| option | value | default | meaning |\n|---|---|---|---|\n", out);
        }
        write_row(o, listeners, out);
        last = o->path;
    }
}

void rg_docs_options(FILE *out)
{
    fputs(intro, out);
    rg_docs_flags(&rg_flags_table, out);
    fputs("\n## The file\n", out);
    rg_docs_table(&rg_options_table, "`[::]:80`", out);
    write_refused(out);
}
