/* Writes the summary, the JSON object and the distribution. Thread: main. */
#include "bench/load/report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static double seconds_of(uint64_t ns)
{
    return (double)ns / 1e9;
}

static double us_of(uint64_t ns)
{
    return (double)ns / 1e3;
}

static double measured_seconds(const struct rg_tally *t)
{
    return t->end > t->begin ? seconds_of(t->end - t->begin) : 0;
}

static double per_second(const struct rg_tally *t, uint64_t n)
{
    double s = measured_seconds(t);
    return s > 0 ? (double)n / s : 0;
}

static double cpu_share(const struct rg_load_options *o, const struct rg_tally *t)
{
    double s = measured_seconds(t) * o->threads;
    return s > 0 ? seconds_of(t->cpu_user + t->cpu_system) / s : 0;
}

static double us_each(const struct rg_tally *t, uint64_t ns)
{
    return t->requests ? us_of(ns) / (double)t->requests : 0;
}

/* ---- JSON ---- */

static void json_text(FILE *out, const char *name, const char *text)
{
    fprintf(out, "\"%s\": \"", name);
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c < 0x20)
            fprintf(out, "\\u%04x", c);
        else
            fputc(c, out);
    }
    fputs("\", ", out);
}

static void json_latency(FILE *out, const char *name, const struct rg_histogram *h)
{
    fprintf(out,
            "\"%s\": {\"min\": %.3f, \"p50\": %.3f, \"p90\": %.3f, \"p99\": %.3f, \"p999\": %.3f, \"max\": %.3f, "
            "\"mean\": %.3f}, ",
            name, us_of(h->min), us_of(rg_histogram_quantile(h, 0.5)), us_of(rg_histogram_quantile(h, 0.9)),
            us_of(rg_histogram_quantile(h, 0.99)), us_of(rg_histogram_quantile(h, 0.999)), us_of(h->max),
            rg_histogram_mean(h) / 1e3);
}

static void json_errors(FILE *out, const struct rg_tally *t)
{
    fputs("\"errors\": {", out);
    for (enum rg_error i = 0; i < RG_ERROR_COUNT; i++)
        fprintf(out, "%s\"%s\": %" PRIu64, i ? ", " : "", rg_error_name(i), t->errors[i]);
    fputs("}, ", out);
}

static void json_behind(FILE *out, const struct rg_tally *t)
{
    const struct rg_histogram *h = &t->behind;
    fprintf(
        out,
        "\"behind\": {\"p50_us\": %.3f, \"p99_us\": %.3f, \"p999_us\": %.3f, \"max_us\": %.3f, \"requests\": %" PRIu64
        "}, \"backlog\": {\"begin\": %" PRIu64 ", \"end\": %" PRIu64 "}, ",
        us_of(rg_histogram_quantile(h, 0.5)), us_of(rg_histogram_quantile(h, 0.99)),
        us_of(rg_histogram_quantile(h, 0.999)), us_of(h->max), t->behind_requests, t->backlog_begin, t->backlog_end);
}

static void json_tls(FILE *out, const struct rg_tally *t)
{
    fputs("\"tls\": {", out);
    json_text(out, "version", t->tls.version ? t->tls.version : "");
    json_text(out, "cipher", t->tls.cipher ? t->tls.cipher : "");
    json_text(out, "group", t->tls.group);
    json_latency(out, "full_latency_us", &t->full);
    json_latency(out, "resumed_latency_us", &t->resumed);
    fprintf(out, "\"handshakes\": {\"full\": %" PRIu64 ", \"resumed\": %" PRIu64 "}}, ", t->full.count,
            t->resumed.count);
}

static void write_json(FILE *out, const struct rg_load_options *o, const struct rg_tally *t)
{
    fputs("{\"program\": \"ringgate-load\", ", out);
    json_text(out, "target", o->target);
    json_text(out, "path", o->path);
    fprintf(out, "\"connections\": %u, \"active\": %u, \"threads\": %u, ", o->connections, o->active, o->threads);
    fprintf(out, "\"mode\": \"%s\", \"target_rate\": ", o->rate > 0 ? "open" : "closed");
    if (o->rate > 0)
        fprintf(out, "%.3f, ", o->rate);
    else
        fputs("null, ", out);
    fprintf(out, "\"seed\": %" PRIu64 ", \"begin_ns\": %" PRIu64 ", \"end_ns\": %" PRIu64 ", ", o->seed, t->begin,
            t->end);
    fprintf(out, "\"seconds\": %.6f, \"requests\": %" PRIu64 ", \"rate\": %.3f, ", measured_seconds(t), t->requests,
            per_second(t, t->requests));
    fprintf(out, "\"bytes_in\": %" PRIu64 ", \"bytes_out\": %" PRIu64 ", ", t->bytes_in, t->bytes_out);
    json_errors(out, t);
    json_latency(out, "latency_us", &t->latency);
    if (o->per_connection)
        json_latency(out, "connect_latency_us", &t->connect);
    if (o->tls)
        json_tls(out, t);
    json_behind(out, t);
    fprintf(out, "\"cpu\": {\"user_s\": %.6f, \"system_s\": %.6f, \"share\": %.4f}, ", seconds_of(t->cpu_user),
            seconds_of(t->cpu_system), cpu_share(o, t));
    fprintf(out,
            "\"warmup_requests\": %" PRIu64 ", \"unfinished\": %" PRIu64 ", \"unsent\": %" PRIu64
            ", \"reconnects\": %" PRIu64 ", \"enters\": %" PRIu64 "}\n",
            t->warmup_requests, t->unfinished, t->unsent, t->reconnects, t->enters);
}

/* ---- summary ---- */

static void print_latency(FILE *out, const char *name, const struct rg_histogram *h)
{
    fprintf(out, "%-10s p50 %.0f  p90 %.0f  p99 %.0f  p99.9 %.0f  max %.0f  mean %.0f us\n", name,
            us_of(rg_histogram_quantile(h, 0.5)), us_of(rg_histogram_quantile(h, 0.9)),
            us_of(rg_histogram_quantile(h, 0.99)), us_of(rg_histogram_quantile(h, 0.999)), us_of(h->max),
            rg_histogram_mean(h) / 1e3);
}

static void print_errors(FILE *out, const struct rg_tally *t)
{
    fprintf(out, "%-10s", "errors");
    if (rg_tally_errors(t) == 0)
        fputs(" none", out);
    for (enum rg_error i = 0; i < RG_ERROR_COUNT; i++)
        if (t->errors[i])
            fprintf(out, " %s %" PRIu64 " (first: %s)", rg_error_name(i), t->errors[i],
                    t->first[i] ? t->first[i] : "unknown");
    fputc('\n', out);
}

static void print_tls(FILE *out, const struct rg_tally *t)
{
    fprintf(out, "%-10s %s %s %s; handshakes: %" PRIu64 " full, %" PRIu64 " resumed\n", "tls",
            t->tls.version ? t->tls.version : "none", t->tls.cipher ? t->tls.cipher : "", t->tls.group, t->full.count,
            t->resumed.count);
    if (t->full.count)
        print_latency(out, "full", &t->full);
    if (t->resumed.count)
        print_latency(out, "resumed", &t->resumed);
}

static void print_summary(FILE *out, const struct rg_load_options *o, const struct rg_tally *t)
{
    fprintf(out, "%s%s: %u connections, %u of them active, %u thread%s, %s", o->target, o->path, o->connections,
            o->active, o->threads, o->threads == 1 ? "" : "s", o->rate > 0 ? "open loop" : "closed loop");
    if (o->rate > 0)
        fprintf(out, " at %.1f/s", o->rate);
    fprintf(out, "%s, %.2f s\n", o->per_connection ? ", a connection each request" : "", measured_seconds(t));
    fprintf(out, "%-10s %" PRIu64 ", %.1f/s; in %.2f MB/s, out %.2f MB/s\n", "requests", t->requests,
            per_second(t, t->requests), per_second(t, t->bytes_in) / 1e6, per_second(t, t->bytes_out) / 1e6);
    print_latency(out, "latency", &t->latency);
    if (o->per_connection)
        print_latency(out, "connect", &t->connect);
    if (o->tls)
        print_tls(out, t);
    print_errors(out, t);
    fprintf(out, "%-10s %.2f us of CPU a request (user %.2f, system %.2f), %.0f %% of its thread%s", "generator",
            us_each(t, t->cpu_user + t->cpu_system), us_each(t, t->cpu_user), us_each(t, t->cpu_system),
            cpu_share(o, t) * 100, o->threads == 1 ? "" : "s");
    fputc('\n', out);
    if (o->rate > 0)
        fprintf(out,
                "%-10s p99 %.0f  p99.9 %.0f  max %.0f us, %" PRIu64 " requests more than 1 ms; backlog %" PRIu64
                " at the beginning, %" PRIu64 " at the end\n",
                "behind", us_of(rg_histogram_quantile(&t->behind, 0.99)),
                us_of(rg_histogram_quantile(&t->behind, 0.999)), us_of(t->behind.max), t->behind_requests,
                t->backlog_begin, t->backlog_end);
    if (t->unfinished || t->unsent || t->reconnects)
        fprintf(out, "%-10s %" PRIu64 " on their way, %" PRIu64 " due but not sent; %" PRIu64 " reconnects\n",
                "at the end", t->unfinished, t->unsent, t->reconnects);
}

/* ---- files ---- */

static int close_file(FILE *out, const char *flag, const char *path)
{
    bool failed = ferror(out) != 0;
    if (fclose(out) == 0 && !failed)
        return 0;
    fprintf(stderr, "ringgate-load: %s %s: writing failed: %s\n", flag, path, strerror(errno));
    return -EIO;
}

static FILE *open_file(const char *flag, const char *path)
{
    FILE *out = fopen(path, "we");
    if (!out)
        fprintf(stderr, "ringgate-load: %s %s: %s; name a file that can be written\n", flag, path, strerror(errno));
    return out;
}

int rg_report(const struct rg_load_options *o, const struct rg_tally *t)
{
    bool to_stdout = o->json && strcmp(o->json, "-") == 0;
    int rc = 0;
    FILE *out;
    if (to_stdout)
        write_json(stdout, o, t);
    else if (!o->quiet)
        print_summary(stdout, o, t);
    if (o->json && !to_stdout) {
        if (!(out = open_file("--json", o->json)))
            return -EIO;
        write_json(out, o, t);
        rc = close_file(out, "--json", o->json);
    }
    if (o->hgrm && rc == 0) {
        if (!(out = open_file("--hgrm", o->hgrm)))
            return -EIO;
        rg_histogram_write_hgrm(&t->latency, out);
        rc = close_file(out, "--hgrm", o->hgrm);
    }
    if (fflush(stdout) != 0) {
        fprintf(stderr, "ringgate-load: standard output: %s\n", strerror(errno));
        rc = -EIO;
    }
    return rc;
}
