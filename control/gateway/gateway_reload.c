/*
 * Reload: the new settings are built beside the running ones, what can't change is set back, and only then they are
 * published. A file with errors changes nothing. Thread: the control thread.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "control/common/descriptors.h"
#include "control/gateway/certificates.h"
#include "control/gateway/gateway.h"
#include "control/options/options_table.h"
#include "datapath/base/log.h"

struct reload_report {
    FILE *out;
    unsigned rows;
};

static void report_row(struct reload_report *report, const char *path, const char *key_a, const char *a,
                       const char *key_b, const char *b)
{
    fputs(report->rows++ > 0 ? ",{\"option\":" : "{\"option\":", report->out);
    rg_json_string(report->out, rg_str_of(path));
    fprintf(report->out, ",\"%s\":", key_a);
    rg_json_string(report->out, rg_str_of(a));
    fprintf(report->out, ",\"%s\":", key_b);
    rg_json_string(report->out, rg_str_of(b));
    fputs("}", report->out);
}

static void report_kept(const char *path, const char *running, const char *wanted, void *arg)
{
    rg_warn("reload: this option needs a restart option=%s running=%s wanted=%s", path, running, wanted);
    report_row(arg, path, "running", running, "wanted", wanted);
}

/* ---- What changed ---- */

/* A list is as long as its count says; the rows below it describe an item. */
static bool list_differs(const struct rg_conf_option *list, const char *a, const char *b);

static bool row_differs(const struct rg_conf_option *o, const char *a, const char *b)
{
    return o->type == RG_CONF_LIST ? list_differs(o, a, b) : !rg_conf_equal(o, a, b);
}

/* A row of this list's items, and not of a list in them. */
static bool is_row_of(const struct rg_conf_option *o, const struct rg_conf_option *list)
{
    size_t len = strlen(list->path);
    return strncmp(o->path, list->path, len) == 0 && strncmp(o->path + len, "[]", 2) == 0 &&
           !strchr(o->path + len + 2, '[');
}

static bool list_differs(const struct rg_conf_option *list, const char *a, const char *b)
{
    size_t count = rg_conf_list_count(list, a);
    bool differs = count != rg_conf_list_count(list, b);
    for (size_t row = 0; !differs && row < rg_options_table.count; row++) {
        const struct rg_conf_option *o = &rg_options_table.options[row];
        for (size_t i = 0; !differs && i < count && is_row_of(o, list); i++)
            differs = row_differs(o, a + i * list->stride, b + i * list->stride);
    }
    return differs;
}

static void format_value(const struct rg_conf_option *o, const struct rg_settings *s, char *buf, size_t len)
{
    if (o->type == RG_CONF_LIST)
        snprintf(buf, len, "%zu entries", rg_conf_list_count(o, s));
    else
        rg_conf_format(o, s, buf, len);
}

static void report_changes(const struct rg_settings *running, const struct rg_settings *next, FILE *out)
{
    struct reload_report report = {out, 0};
    for (size_t i = 0; i < rg_options_table.count; i++) {
        const struct rg_conf_option *o = &rg_options_table.options[i];
        bool is_item = strstr(o->path, "[]") != NULL;
        char was[RG_CONF_TEXT_MAX], is[RG_CONF_TEXT_MAX];
        if (is_item || !row_differs(o, (const char *)running, (const char *)next))
            continue;
        format_value(o, running, was, sizeof(was));
        format_value(o, next, is, sizeof(is));
        rg_info("reload: option changed option=%s from=%s to=%s", o->path, was, is);
        report_row(&report, o->path, "was", was, "now", is);
    }
}

/* ---- Errors ---- */

/* Each error once in the log and once in the report, as a line of its own. */
static void report_errors(char *text, FILE *out)
{
    bool first = true;
    fputs("{\"reloaded\":false,\"errors\":[", out);
    for (char *line, *rest = text; (line = strsep(&rest, "\n")) != NULL;) {
        if (line[0] == '\0')
            continue;
        rg_error("reload: %s", line);
        if (!first)
            fputs(",", out);
        rg_json_string(out, rg_str_of(line));
        first = false;
    }
    fputs("]}\n", out);
}

/*
 * Without a file a reload has nothing to read, and flags can't change. One that was there and is gone must not silently
 * become the defaults.
 */
static int check_file(const struct rg_gateway *g, FILE *report)
{
    const char *path = g->flags->config_path;
    char line[512];
    if (rg_options_has_file(g->flags))
        return 0;
    if (g->has_file)
        snprintf(line, sizeof(line),
                 "%s: got no file, wanted the one that the running settings are from; put it back, or restart to go "
                 "without it",
                 path);
    else
        snprintf(line, sizeof(line),
                 "%s: got no file, wanted one to read; %s was started by flags alone: write that file and "
                 "reload again, or restart with other flags",
                 path, g->program ? g->program->name : "the gateway");
    report_errors(line, report);
    return -ENOENT;
}

/* Of the listeners that there will be, whatever the file says of those that stay until a restart. */
static int load_certificates(struct rg_gateway *g, struct rg_settings *next)
{
    struct rg_settings *final = malloc(sizeof(*final));
    if (!final)
        return -ENOMEM;
    *final = *next;
    rg_options_keep_fixed(rg_gateway_settings(g), final, NULL, NULL);
    rg_gateway_note_files(g, final);
    int r = rg_gateway_make_store(g, final, &next->tls);
    free(final);
    return r;
}

static int load(struct rg_gateway *g, struct rg_settings *ret, FILE *report)
{
    char *text = NULL;
    size_t len = 0;
    int r = check_file(g, report);
    if (r < 0)
        return r;
    FILE *errors = open_memstream(&text, &len);
    if (!errors)
        return -errno;
    const struct rg_options_outside outside = {rg_certificates_inspect};
    r = g->program ? g->program->load(g->program->owner, &outside, ret, errors)
                   : rg_options_load_with(g->flags, &outside, ret, errors);
    if (r == 0)
        r = rg_options_check_kept(rg_gateway_settings(g), ret, errors);
    if (r == 0) {
        r = load_certificates(g, ret);
        if (r < 0)
            fputs("listeners: the files of their certificates changed while they were read; the log says how\n",
                  errors);
    }
    fclose(errors);
    if (r < 0)
        report_errors(text, report);
    free(text);
    return r;
}

static int refuse(struct rg_gateway *g, struct rg_settings_box *box, int r)
{
    rg_gateway_free_settings(box);
    if (r == -ENOENT && !g->has_file)
        return r; /* no settings were refused: there are none to read */
    g->metrics.values[RG_CM_CONFIG_RELOAD_FAILURES]++;
    g->metrics.values[RG_CM_CONFIG_RELOAD_OK] = 0;
    rg_error("reload refused, the running settings stay generation=%" PRIu64, rg_gateway_settings(g)->generation);
    return r;
}

/* ---- Publishing ---- */

void rg_gateway_publish(struct rg_gateway *g, struct rg_settings_box *box)
{
    box->settings.generation = rg_gateway_settings(g)->generation + 1;
    box->settings.descriptors = rg_descriptors_of_datapath();
    g->current->next = g->retired;
    g->retired = g->current;
    g->current = box;
    for (uint16_t i = 0; i < g->n_workers; i++)
        rg_worker_publish(g->workers[i].worker, &box->settings);
}

static void take_over(struct rg_gateway *g, struct rg_settings_box *box)
{
    bool other_limit = box->settings.connections != rg_gateway_settings(g)->connections;
    rg_gateway_publish(g, box);
    g->has_file = true;
    rg_log_set_level((enum rg_log_level)box->settings.log_level);
    if (other_limit)
        rg_gateway_check_descriptors(&box->settings);
    rg_access_writer_configure(&g->access, &box->settings);
    rg_prober_configure(&g->prober, &box->settings);
    g->metrics.values[RG_CM_CONFIG_RELOAD_OK] = 1;
}

int rg_gateway_reload(struct rg_gateway *g, FILE *report)
{
    if (g->phase != RG_PHASE_SERVING) {
        rg_warn("reload refused, the gateway is draining");
        fputs("{\"reloaded\":false,\"errors\":[\"the gateway is draining\"]}\n", report);
        return -EBUSY;
    }
    struct rg_settings_box *box = calloc(1, sizeof(*box));
    if (!box)
        return -ENOMEM;
    rg_notify_reloading(&g->notify);
    int r = load(g, &box->settings, report);
    if (r < 0) {
        r = refuse(g, box, r);
    } else {
        struct reload_report kept = {report, 0};
        fputs("{\"reloaded\":true,\"kept\":[", report);
        rg_options_keep_fixed(rg_gateway_settings(g), &box->settings, report_kept, &kept);
        fputs("],\"changed\":[", report);
        report_changes(rg_gateway_settings(g), &box->settings, report);
        rg_gateway_settle_sockmap(g, &box->settings);
        take_over(g, box);
        fprintf(report, "],\"generation\":%" PRIu64 "}\n", box->settings.generation);
        rg_info("reloaded generation=%" PRIu64 " kept=%u", box->settings.generation, kept.rows);
        rg_gateway_send_status(g); /* it names the replica */
    }
    rg_notify_ready(&g->notify);
    return r;
}

/* ---- Retiring ---- */

void rg_gateway_free_settings(struct rg_settings_box *box)
{
    if (!box)
        return;
    rg_tls_store_destroy(box->settings.tls);
    free(box);
}

static uint64_t oldest_in_use(const struct rg_gateway *g)
{
    uint64_t oldest = rg_gateway_settings(g)->generation;
    for (uint16_t i = 0; i < g->n_workers; i++) {
        const struct rg_worker *w = g->workers[i].worker;
        uint64_t generation = rg_worker_has_ended(w) ? oldest : rg_worker_generation(w);
        if (generation < oldest)
            oldest = generation;
    }
    return oldest;
}

bool rg_gateway_settings_are_live(const struct rg_gateway *g)
{
    return oldest_in_use(g) == rg_gateway_settings(g)->generation;
}

void rg_gateway_retire_settings(struct rg_gateway *g)
{
    struct rg_settings_box **at = &g->retired;
    uint64_t oldest = g->retired ? oldest_in_use(g) : 0;
    while (*at) {
        struct rg_settings_box *box = *at;
        if (box->settings.generation >= oldest) {
            at = &box->next;
            continue;
        }
        *at = box->next;
        rg_gateway_free_settings(box);
    }
}
