/*
 * Why: docs/METRICS.md from the tables of metrics, reasons and access record members. Thread: the generator has one.
 */
#include "control/docs/docs.h"

#include <string.h>

#include "bpf/sockmap.h"
#include "bpf/steer.h"
#include "datapath/base/reasons.h"

struct metric {
    const char *family;
    const char *type;
    const char *labels; /* `name="value"`, or names alone when they are open */
    const char *help;
};

#define RG_COUNTER(id, family, labels, help)      {"ringgate_" family, "counter", labels, help},
#define RG_GAUGE(id, family, labels, help)        {"ringgate_" family, "gauge", labels, help},
#define RG_HISTOGRAM(id, family, help)            {"ringgate_" family, "histogram", "", help},
#define RG_INFO(id, family, label_names, help)    {"ringgate_" family, "gauge", label_names, help},
#define RG_PER_UNIT(id, family, help)             {"ringgate_" family, "counter", "kind, unit", help},
#define RG_PROCESS(id, family, metric_type, help) {family, metric_type, "", help},

static const struct metric worker_metrics[] = {
#include "datapath/base/metrics.def"
};

static const struct metric gateway_metrics[] = {
#include "control/gateway/control_metrics.def"

#include "control/agent/agent_metrics.def"
};

static const struct {
    const char *name, *type, *missing, *help;
} access_fields[] = {
#define RG_ACCESS_FIELD(name, type, missing, help) {name, type, missing, help},
#include "control/gateway/access_fields.def"
#undef RG_ACCESS_FIELD
};

/* `name="value"` to `name="value"` in a cell; further values of the same family follow. */
static void write_labels(const struct metric *first, size_t count, FILE *out)
{
    for (size_t i = 0; i < count; i++)
        if (*first[i].labels)
            fprintf(out, "%s`%s`", i > 0 ? ", " : "", first[i].labels);
}

static void write_metrics(const struct metric *metrics, size_t count, FILE *out)
{
    fputs("\n| metric | type | labels | meaning |\n|---|---|---|---|\n", out);
    for (size_t i = 0, n; i < count; i += n) {
        for (n = 1; i + n < count && strcmp(metrics[i].family, metrics[i + n].family) == 0; n++)
            ;
        fprintf(out, "| `%s` | %s | ", metrics[i].family, metrics[i].type);
        write_labels(&metrics[i], n, out);
        fprintf(out, " | %s |\n", metrics[i].help);
    }
}

static void write_reasons(FILE *out)
{
    fputs("\n## Reasons\n\n"
          "Every way in which an exchange ends other than by a complete response of the replica. The name is the label "
          "of\n"
          "`ringgate_requests_refused_total{reason=\"...\"}` and the member `reason` of an access record; the text is "
          "the body of\n"
          "the response. A reason without a status has a text for this table only: nothing was sent, or not because of "
          "it.\n\n"
          "| reason | status | text |\n|---|---|---|\n",
          out);
    for (unsigned i = RG_REASON_NONE + 1; i < RG_REASON_COUNT; i++) {
        const struct rg_reason_info *r = rg_reason_info((enum rg_reason)i);
        fprintf(out, "| `%.*s` | ", (int)r->name.len, r->name.ptr);
        if (r->status != 0)
            fprintf(out, "%u", r->status);
        fprintf(out, " | %.*s |\n", (int)r->text.len, r->text.ptr);
    }
}

static void write_access_fields(FILE *out)
{
    fputs("\n## Access records\n\n"
          "With `access_log.path` set, one line of JSON for each exchange (or for one of `access_log.sample`).\n\n"
          "| member | type | meaning |\n|---|---|---|\n",
          out);
    for (size_t i = 0; i < sizeof(access_fields) / sizeof(access_fields[0]); i++) {
        fprintf(out, "| `%s` | %s | %s", access_fields[i].name, access_fields[i].type, access_fields[i].help);
        if (*access_fields[i].missing)
            fprintf(out, " Left out when %s.", access_fields[i].missing);
        fputs(" |\n", out);
    }
}

void rg_docs_metrics(FILE *out)
{
    fputs("# Metrics and access records\n"
          "\n"
          "<!-- Made by ringgate-docs from datapath/base/metrics.def, datapath/base/reasons.def, "
          "control/gateway/control_metrics.def,\n"
          "     control/agent/agent_metrics.def and control/gateway/access_fields.def: change those, then run "
          "ringgate-docs --write docs. -->\n"
          "\n"
          "`GET /metrics` on the admin address answers in the text format of Prometheus, or in OpenMetrics when asked "
          "for it.\n"
          "\n"
          "## The gateway\n",
          out);
    write_metrics(gateway_metrics, sizeof(gateway_metrics) / sizeof(gateway_metrics[0]), out);
    fputs("\n## The workers\n\nSummed over all workers; `GET /workers` has them one by one.\n", out);
    write_metrics(worker_metrics, sizeof(worker_metrics) / sizeof(worker_metrics[0]), out);
    write_reasons(out);
    write_access_fields(out);
}
