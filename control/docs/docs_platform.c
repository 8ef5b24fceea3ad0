/* Why: docs/PLATFORM.md from the platform's tables of flags, options and metrics. Thread: the generator has one. */
#include "control/docs/docs.h"
#include "control/platform/metrics.h"
#include "control/platform/options.h"

static const char intro[] = "# The platform\n"
                            "\n"
                            "<!-- Made by ringgate-docs from control/platform/options.def, options_table.c and "
                            "metrics.c: change those, then run\n"
                            "ringgate-docs --write docs. -->\n"
                            "\n"
                            "`ringgate-platform` is the control plane: it keeps gateways, artifacts and deployments in "
                            "one directory, and tells the\n"
                            "gateways that are connected to it. [RGCTL.md](RGCTL.md) is its command line, `GET "
                            "/api/v0.9/openapi.yaml` describes its\n"
                            "API, [OPERATIONS.md](OPERATIONS.md) says what its directory holds and how to save it.\n"
                            "\n"
                            "It reads `" RG_PLATFORM_CONFIG_DEFAULT
                            "` when that is there, or the file that `-c` names; flags win over the file.\n"
                            "Values are written, and mistakes are told, as for the gateway ([OPTIONS.md](OPTIONS.md)). "
                            "Certificates that change\n"
                            "are read again by themselves; `SIGHUP` takes over what is not marked *restart*. TERM ends "
                            "it in order: gateways are\n"
                            "told, calls that are under way are answered.\n"
                            "\n"
                            "## Flags\n"
                            "\n"
                            "| flag | meaning |\n"
                            "|---|---|\n";

static const char metrics_intro[] =
    "\n## Metrics\n"
    "\n"
    "On `/metrics` of `admin.address`, beside those of its front and its process ([METRICS.md](METRICS.md)).\n"
    "\n"
    "| metric | type | meaning |\n"
    "|---|---|---|\n";

static void write_metrics(FILE *out)
{
    for (unsigned i = 0; i < RG_PLATFORM_ROWS; i++) {
        const struct rg_metric_row *row = &rg_platform_rows[i];
        fprintf(out, "| `ringgate_%s", row->family);
        if (row->labels[0])
            fprintf(out, "{%s}", row->labels);
        fprintf(out, "` | %s | ", row->kind == RG_METRIC_GAUGE ? "gauge" : "counter");
        rg_docs_cell(out, row->help);
        fputs(" |\n", out);
    }
}

void rg_docs_platform(FILE *out)
{
    fputs(intro, out);
    rg_docs_flags(&rg_platform_flags_table, out);
    fputs("\n## The file\n", out);
    rg_docs_table(&rg_platform_options_table, "`127.0.0.1:9080`, and `[::]:9243` with TLS", out);
    fputs(metrics_intro, out);
    write_metrics(out);
}
