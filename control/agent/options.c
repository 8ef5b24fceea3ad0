/*
 * Why: from defaults, file and flags to checked settings. Thread: control thread, or main before it starts.
 */
#include "control/agent/options.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "control/agent/options_table.h"
#include "datapath/base/assert.h"

#define REPLICA_WANTED "the address of the service behind the gateway"

struct load {
    const struct rg_flags *flags;
    const struct rg_options_outside *outside;
    struct rg_settings settings;
    struct rg_listener_settings plain_listeners[RG_LISTENERS_MAX]; /* as they are by default */
    struct rg_conf_tree *tree;                                     /* NULL: no file */
    struct rg_conf_errors errors;
};

static const struct rg_conf_mark no_mark = {0, 0};

/* --- the file --- */

/* Reads at most one byte more than a configuration may have, which is enough to refuse it. */
static int read_all(FILE *in, char **ret, size_t *ret_len)
{
    size_t room = RG_CONF_FILE_MAX + 1;
    char *text = malloc(room);
    if (!text)
        return -ENOMEM;
    size_t len = fread(text, 1, room, in);
    if (ferror(in)) {
        int err = errno > 0 ? -errno : -EIO;
        free(text);
        return err;
    }
    *ret = text;
    *ret_len = len;
    return 0;
}

static FILE *open_file(const struct load *l)
{
    const char *path = l->flags->config_path;
    return l->outside->open_file ? l->outside->open_file(path) : fopen(path, "re");
}

static int read_file(const struct load *l, char **ret, size_t *ret_len)
{
    FILE *in = open_file(l);
    if (!in)
        return -errno;
    int err = read_all(in, ret, ret_len);
    fclose(in);
    return err;
}

static void refuse_file(struct load *l, int err)
{
    char got[128], shown[RG_CONF_TEXT_MAX];
    snprintf(shown, sizeof(shown), "%s", l->flags->config_path);
    snprintf(got, sizeof(got), "an error (%s)", strerror(-err));
    rg_conf_errors_add(
        &l->errors, no_mark, shown, got, "a configuration file that can be read",
        l->flags->config_given
            ? NULL
            : "give replica.address in a file that -c FILE names, or start without one by --replica ADDR");
}

bool rg_options_has_file(const struct rg_flags *flags)
{
    return flags->config_given || access(flags->config_path, F_OK) == 0;
}

bool rg_options_by_flag(const struct rg_flags *flags, bool given)
{
    return given || !rg_options_has_file(flags);
}

/* Without -c the default file may be missing when the flags say enough. */
static bool may_be_missing(const struct rg_flags *flags)
{
    return !flags->config_given && flags->replica;
}

static int load_file(struct load *l)
{
    char *text = NULL;
    size_t len = 0;
    int err = read_file(l, &text, &len);
    if (err == -ENOENT && may_be_missing(l->flags))
        return 0;
    if (err == -ENOMEM)
        return err;
    if (err < 0) {
        refuse_file(l, err);
        return 0;
    }
    err = rg_conf_tree_create(&l->tree, text, len, &l->errors);
    free(text);
    if (err < 0)
        return err;
    rg_conf_decode(&rg_options_table, l->tree, &l->settings, &l->errors);
    return 0;
}

/* --- the flags --- */

static void decode_flag(struct load *l, const char *flag, const char *path, const char *text)
{
    const struct rg_conf_option *o = rg_conf_option_of(&rg_options_table, path);
    RG_ASSERT(o);
    if (text)
        rg_conf_decode_flag(o, flag, text, &l->settings, &l->errors);
}

/* In the place of the file's listeners, and of all that the file says of them. */
static void decode_listen_flags(struct load *l)
{
    const struct rg_conf_option *o = rg_conf_option_of(&rg_options_table, "listeners[].address");
    RG_ASSERT(o);
    if (l->flags->n_listen == 0)
        return;
    memcpy(l->settings.listeners, l->plain_listeners, sizeof(l->settings.listeners));
    for (size_t i = 0; i < l->flags->n_listen; i++)
        rg_conf_decode_flag(o, "--listen", l->flags->listen[i],
                            (char *)&l->settings + i * sizeof(l->settings.listeners[0]), &l->errors);
    l->settings.n_listeners = l->flags->n_listen;
}

static void refuse_flag(struct load *l, const char *flag, const char *text)
{
    char got[RG_CONF_TEXT_MAX];
    if (!text)
        return;
    rg_conf_quote(rg_str_of(text), got, sizeof(got));
    rg_conf_errors_add(&l->errors, no_mark, flag, got, "the flag left out",
                       "not supported by this version, which is configured by its file and flags alone");
}

static void load_flags(struct load *l)
{
    decode_listen_flags(l);
    decode_flag(l, "--replica", "replica.address", l->flags->replica);
    decode_flag(l, "--workers", "workers", l->flags->workers);
    decode_flag(l, "--admin", "admin.address", l->flags->admin);
    refuse_flag(l, "--control", l->flags->control);
    refuse_flag(l, "--token-file", l->flags->token_file);
    refuse_flag(l, "--state-dir", l->flags->state_dir);
}

/* --- what options mean together --- */

/* The position of an option in the file, or of the file's beginning when it is not there. */
static struct rg_conf_mark mark_of(const struct load *l, const char *path)
{
    const struct rg_conf_node *n = l->tree ? rg_conf_tree_find(l->tree, path) : NULL;
    if (n)
        return n->mark;
    return l->tree ? (struct rg_conf_mark){1, 1} : no_mark;
}

static bool is_given(const struct load *l, const char *path)
{
    return l->tree && rg_conf_tree_find(l->tree, path);
}

static bool file_was_read(const struct load *l)
{
    return l->tree && rg_conf_tree_root(l->tree);
}

static void check_replica(struct load *l)
{
    if (l->settings.replica.len > 0 || l->flags->replica || is_given(l, "replica.address"))
        return;
    if (rg_conf_errors_any(&l->errors) && !file_was_read(l))
        return; /* the file that may have it could not be read: one error says that already */
    rg_conf_errors_add(&l->errors, mark_of(l, "replica"), "replica.address", "nothing", REPLICA_WANTED,
                       "give it here or by --replica ADDR");
}

/* An address of h2c:// says what is spoken there; a flag's says it for the file, too. */
static void check_replica_protocol(struct load *l)
{
    struct rg_settings *s = &l->settings;
    if (!s->replica.h2c)
        return;
    if (!l->flags->replica && is_given(l, "replica.protocol") && s->replica_protocol != RG_REPLICA_H2C)
        rg_conf_errors_add(&l->errors, mark_of(l, "replica.protocol"), "replica.protocol", "\"http1\"",
                           "h2c, as replica.address says", "leave it out, or write the address without h2c://");
    s->replica_protocol = RG_REPLICA_H2C;
}

static void check_listeners(struct load *l)
{
    struct rg_settings *s = &l->settings;
    bool from_flags = l->flags->n_listen > 0;
    if (s->n_listeners == 0) {
        struct rg_address_error why;
        RG_ASSERT(rg_address_parse(RG_STR("[::]:80"), RG_ADDRESS_LISTEN, &s->listeners[0].address, &why));
        s->n_listeners = 1;
    }
    for (unsigned i = 1; i < s->n_listeners; i++) {
        char path[64], got[RG_ADDRESS_TEXT_MAX + 32];
        unsigned j = 0;
        while (j < i && (s->listeners[i].address.len == 0 ||
                         !rg_address_equal(&s->listeners[i].address, &s->listeners[j].address)))
            j++;
        if (j == i)
            continue;
        if (from_flags)
            snprintf(path, sizeof(path), "--listen");
        else
            snprintf(path, sizeof(path), "listeners[%u].address", i);
        snprintf(got, sizeof(got), "\"%s\" a second time", s->listeners[i].address.text);
        rg_conf_errors_add(&l->errors, from_flags ? no_mark : mark_of(l, path), path, got, "each address once", NULL);
    }
}

/* What only the sockets that are there already can tell. */
static void learn_v6_only(struct load *l)
{
    struct rg_settings *s = &l->settings;
    for (unsigned i = 0; i < s->n_listeners; i++) {
        struct rg_address *a = &s->listeners[i].address;
        for (unsigned j = 0; j < l->flags->n_v6_only; j++)
            a->v6_only |= rg_address_equal(a, &l->flags->v6_only[j]);
    }
}

/* A listener as the operator knows it: by its flag, by its place in the file, or as the default. */
static void name_listener(const struct load *l, unsigned i, char *buf, size_t len)
{
    const char *text = l->settings.listeners[i].address.text;
    if (l->flags->n_listen > 0)
        snprintf(buf, len, "--listen %s", text);
    else if (is_given(l, "listeners"))
        snprintf(buf, len, "listeners[%u].address %s", i, text);
    else
        snprintf(buf, len, "the default listener %s", text);
}

static void refuse_place(struct load *l, const char *path, const char *flag, const char *given, const char *got,
                         const char *wanted, const char *remedy)
{
    bool by_flag = rg_options_by_flag(l->flags, given != NULL);
    rg_conf_errors_add(&l->errors, by_flag ? no_mark : mark_of(l, path), by_flag ? flag : path, got, wanted, remedy);
}

/* Whoever may name clients must be named himself. */
static void check_proxy_protocol(struct load *l)
{
    for (unsigned i = 0; i < l->settings.n_listeners; i++) {
        const struct rg_listener_settings *s = &l->settings.listeners[i];
        char path[80], parent[64];
        if (s->proxy_mode == RG_PROXY_MODE_OFF || s->n_proxy_trusted > 0 || s->address.sa.sa_family == AF_UNIX)
            continue;
        snprintf(parent, sizeof(parent), "listeners[%u].proxy_protocol", i);
        snprintf(path, sizeof(path), "%s.trusted", parent);
        const struct rg_conf_node *n = rg_conf_tree_find(l->tree, path);
        if (n && n->kind != RG_CONF_NODE_SEQ)
            continue; /* was refused already */
        rg_conf_errors_add(&l->errors, mark_of(l, n ? path : parent), path, "nothing",
                           "addresses or prefixes of the proxies in front",
                           "a client that may send a PROXY header has any address it likes");
    }
}

/* The admin endpoint must not sit where clients connect: it has no authentication. */
static void check_admin(struct load *l)
{
    const struct rg_settings *s = &l->settings;
    for (unsigned i = 0; i < s->n_listeners && s->admin_enabled; i++) {
        char name[RG_ADDRESS_TEXT_MAX + 32], got[2 * RG_ADDRESS_TEXT_MAX + 80];
        if (s->listeners[i].address.len == 0 || !rg_address_overlaps(&s->admin, &s->listeners[i].address))
            continue;
        name_listener(l, i, name, sizeof(name));
        snprintf(got, sizeof(got), "\"%s\", where clients connect (%s)", s->admin.text, name);
        refuse_place(l, "admin.address", "--admin", l->flags->admin, got, "an address of its own", NULL);
    }
}

/* A request must not go round in a circle, nor a client's reach the admin endpoint. */
static void check_loop(struct load *l)
{
    const struct rg_settings *s = &l->settings;
    char name[RG_ADDRESS_TEXT_MAX + 32], got[2 * RG_ADDRESS_TEXT_MAX + 80];
    if (s->replica.len == 0)
        return;
    for (unsigned i = 0; i < s->n_listeners; i++) {
        if (s->listeners[i].address.len == 0 || !rg_address_reaches(&s->listeners[i].address, &s->replica))
            continue;
        name_listener(l, i, name, sizeof(name));
        snprintf(got, sizeof(got), "\"%s\", where the gateway itself listens (%s)", s->replica.text, name);
        refuse_place(l, "replica.address", "--replica", l->flags->replica, got, REPLICA_WANTED,
                     "requests would go round in a circle");
        return;
    }
    if (!s->admin_enabled || !rg_address_reaches(&s->admin, &s->replica))
        return;
    snprintf(got, sizeof(got), "\"%s\", which is the admin endpoint (%s)", s->replica.text,
             rg_options_by_flag(l->flags, l->flags->admin != NULL) ? "--admin" : "admin.address");
    refuse_place(l, "replica.address", "--replica", l->flags->replica, got, REPLICA_WANTED,
                 "clients would reach the admin endpoint");
}

/* A section may be empty elsewhere; here nothing is the opposite of what its author wants. An empty list says that it's
 * meant. */
static void check_tls_of(struct load *l, unsigned i)
{
    const struct rg_listener_settings *s = &l->settings.listeners[i];
    char path[64];
    if (s->tls.client_certificates != RG_CLIENT_CERT_OFF && s->tls.client_ca[0] == '\0') {
        snprintf(path, sizeof(path), "listeners[%u].tls.client_ca", i);
        rg_conf_errors_add(&l->errors, mark_of(l, path), path, "nothing",
                           "a file with the authorities of client certificates", "client_certificates needs it");
    }
    if (s->redirect_status != 0 && s->tls.n_certificates > 0) {
        snprintf(path, sizeof(path), "listeners[%u].redirect_https", i);
        rg_conf_errors_add(&l->errors, mark_of(l, path), path, "a redirection where https is spoken already", "off",
                           "it belongs to the listener of http");
    }
}

static void check_tls(struct load *l)
{
    for (unsigned i = 0; l->tree && i < l->settings.n_listeners; i++) {
        char section[64];
        check_tls_of(l, i);
        snprintf(section, sizeof(section), "listeners[%u].tls", i);
        const struct rg_conf_node *n = rg_conf_tree_find(l->tree, section);
        if (n && n->kind == RG_CONF_NODE_SCALAR && n->text.len == 0)
            rg_conf_errors_add(&l->errors, n->mark, section, "nothing", "a section with certificates",
                               "leave it out for HTTP in the clear");
    }
}

struct rg_options_findings {
    struct load *load;
};

void rg_options_refuse(struct rg_options_findings *findings, const char *path, const char *got, const char *wanted,
                       const char *remedy)
{
    rg_conf_errors_add(&findings->load->errors, mark_of(findings->load, path), path, got, wanted, remedy);
}

static void inspect(struct load *l)
{
    struct rg_options_findings findings = {l};
    if (l->outside->inspect)
        l->outside->inspect(&l->settings, &findings);
}

/* An error when it was asked for; it follows the head's limit when it is only the default. */
static void check_within_head(struct load *l, const char *path, uint32_t *value)
{
    char got[32], head[32], wanted[96];
    uint32_t most = l->settings.head_bytes;
    if (*value <= most)
        return;
    if (!is_given(l, path)) {
        *value = most;
        return;
    }
    rg_conf_format_size(*value, got, sizeof(got));
    rg_conf_format_size(most, head, sizeof(head));
    snprintf(wanted, sizeof(wanted), "at most limits.head_bytes, which is %s", head);
    rg_conf_errors_add(&l->errors, mark_of(l, path), path, got, wanted, NULL);
}

static void count_workers(struct rg_settings *s)
{
    cpu_set_t set;
    if (s->workers > 0)
        return;
    long n = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : sysconf(_SC_NPROCESSORS_ONLN);
    s->workers = (uint16_t)(n < 1 ? 1 : n > RG_WORKERS_MAX ? RG_WORKERS_MAX : n);
}

static void check(struct load *l)
{
    check_replica(l);
    check_replica_protocol(l);
    check_listeners(l);
    learn_v6_only(l);
    check_proxy_protocol(l);
    check_admin(l);
    check_loop(l);
    check_tls(l);
    inspect(l);
    check_within_head(l, "limits.field_bytes", &l->settings.field_bytes);
    check_within_head(l, "limits.target_bytes", &l->settings.target_bytes);
    count_workers(&l->settings);
}

int rg_options_load(const struct rg_flags *flags, struct rg_settings *ret, FILE *err)
{
    static const struct rg_options_outside nothing;
    return rg_options_load_with(flags, &nothing, ret, err);
}

int rg_options_load_with(const struct rg_flags *flags, const struct rg_options_outside *outside,
                         struct rg_settings *ret, FILE *err)
{
    struct load *l = calloc(1, sizeof(*l));
    if (!l) {
        fprintf(err, "%s: %s\n", flags->config_path, strerror(ENOMEM));
        return -ENOMEM;
    }
    l->flags = flags;
    l->outside = outside;
    rg_conf_errors_init(&l->errors);
    rg_conf_preset(&rg_options_table, &l->settings);
    memcpy(l->plain_listeners, l->settings.listeners, sizeof(l->plain_listeners));
    int rc = load_file(l);
    if (rc < 0) {
        fprintf(err, "%s: %s\n", flags->config_path, strerror(-rc));
        goto out;
    }
    load_flags(l);
    check(l);
    if (rg_conf_errors_any(&l->errors)) {
        rg_conf_errors_print(&l->errors, flags->config_path, err);
        rc = -EINVAL;
        goto out;
    }
    *ret = l->settings;
out:
    rg_conf_tree_destroy(l->tree);
    rg_conf_errors_fini(&l->errors);
    free(l);
    return rc;
}
