/*
 * Any bytes as a configuration file: they are refused with at least one message, or give settings within their limits,
 * whose JSON loads again to the very same settings. The input reaches the loader as a file in memory.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "control/options/options.h"
#include "datapath/base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct memory_file {
    int fd;
    char path[64];
};

static void memory_file_open(struct memory_file *f)
{
    f->fd = memfd_create("config", MFD_CLOEXEC);
    RG_ASSERT(f->fd >= 0);
    snprintf(f->path, sizeof(f->path), "/proc/self/fd/%d", f->fd);
}

static void memory_file_fill(const struct memory_file *f, const void *data, size_t size)
{
    RG_ASSERT(ftruncate(f->fd, 0) == 0);
    RG_ASSERT(pwrite(f->fd, data, size, 0) == (ssize_t)size);
}

/* What was said about the file goes to *ret_errors, to be freed. */
static int load(const struct memory_file *f, struct rg_settings *ret, char **ret_errors, size_t *ret_len)
{
    struct rg_flags flags = {.config_path = f->path, .config_given = true, .replica = "9000"};
    FILE *err = open_memstream(ret_errors, ret_len);
    RG_ASSERT(err);
    int rc = rg_options_load(&flags, ret, err);
    fclose(err);
    return rc;
}

static void check_limits(const struct rg_settings *s)
{
    RG_ASSERT(s->workers >= 1 && s->workers <= RG_WORKERS_MAX);
    RG_ASSERT(s->n_listeners >= 1 && s->n_listeners <= RG_LISTENERS_MAX);
    RG_ASSERT(s->n_trusted <= RG_TRUSTED_MAX);
    for (unsigned i = 0; i < s->n_listeners; i++)
        RG_ASSERT(s->listeners[i].address.len > 0 && s->listeners[i].address.text[0] != '\0');
    RG_ASSERT(s->replica.len > 0);
    RG_ASSERT(s->head_bytes >= 4096 && s->head_bytes <= 1 << 20);
    RG_ASSERT(s->field_bytes <= s->head_bytes && s->target_bytes <= s->head_bytes);
    RG_ASSERT(s->headers >= 1 && s->headers <= 256);
    RG_ASSERT(s->health.rise >= 1 && s->health.fall >= 1 && s->access_sample >= 1);
    RG_ASSERT(!s->access_log || s->access_log_path[0] != '\0');
}

static char *json_of(const struct rg_settings *s, size_t *ret_len)
{
    char *json = NULL;
    FILE *out = open_memstream(&json, ret_len);
    RG_ASSERT(out);
    rg_options_begin_json(s, out);
    fputs("}\n", out);
    fclose(out);
    return json;
}

static void check_round_trip(const struct memory_file *f, const struct rg_settings *first)
{
    static struct rg_settings second;
    char *errors = NULL;
    size_t len, again_len, errors_len = 0;
    char *json = json_of(first, &len);
    memory_file_fill(f, json, len);
    RG_ASSERT(load(f, &second, &errors, &errors_len) == 0);
    char *again = json_of(&second, &again_len);
    RG_ASSERT(len == again_len && memcmp(json, again, len) == 0);
    RG_ASSERT(rg_options_keep_fixed(first, &second, NULL, NULL) == 0);
    free(json);
    free(again);
    free(errors);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct memory_file file = {.fd = -1};
    static struct rg_settings settings;
    char *errors = NULL;
    size_t errors_len = 0;
    if (file.fd < 0)
        memory_file_open(&file);
    memory_file_fill(&file, data, size);
    int rc = load(&file, &settings, &errors, &errors_len);
    RG_ASSERT((rc == 0) == (errors_len == 0)); /* refused exactly when something was said */
    if (rc == 0) {
        check_limits(&settings);
        check_round_trip(&file, &settings);
    }
    free(errors);
    return 0;
}
