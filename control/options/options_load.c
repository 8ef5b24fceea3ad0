/* Why: what the options of any program with our listeners go through: its file, its flags, what they mean together.
 * See options_load.h. */
#include "control/options/options_load.h"

#include <errno.h>
#include <stdlib.h>

#include "control/common/cpus.h"
#include "control/common/file.h"
#include "datapath/base/assert.h"

static const struct rg_conf_mark no_mark = {0, 0};

/* --- the file --- */

/* Reads at most one byte more than a configuration may have, which is enough to refuse it. */
static int read_file(const struct rg_options_load *l, char **ret, size_t *ret_len)
{
    size_t room = RG_CONF_FILE_MAX + 1;
    char *text = malloc(room);
    if (!text)
        return -ENOMEM;
    ssize_t len = rg_file_load(l->from->config_path, RG_FILE_ANY, text, room);
    if (len < 0) {
        free(text);
        return (int)len;
    }
    *ret = text;
    *ret_len = (size_t)len;
    return 0;
}

static void refuse_file(struct rg_options_load *l, int err)
{
    char got[128], shown[RG_CONF_TEXT_MAX];
    snprintf(shown, sizeof(shown), "%s", l->from->config_path);
    snprintf(got, sizeof(got), "an error (%s)", strerror(-err));
    rg_conf_errors_add(&l->errors, no_mark, shown, got, "a configuration file that can be read",
                       l->from->config_given ? NULL : l->from->missing_remedy);
}

static int load_file(struct rg_options_load *l)
{
    char *text = NULL;
    size_t len = 0;
    int err = read_file(l, &text, &len);
    if (err == -ENOENT && l->from->may_be_missing && !l->from->config_given)
        return 0;
    if (err == -ENOMEM)
        return err;
    if (err < 0) {
        refuse_file(l, err);
        return 0;
    }
    static const struct rg_conf_tree_limits limits = {RG_CONF_FILE_MAX, RG_CONF_NODES_MAX};
    err = rg_conf_tree_create(&l->tree, text, len, &limits, &l->errors);
    free(text);
    if (err < 0)
        return err;
    rg_conf_decode(l->from->table, l->tree, l->target, &l->errors);
    return 0;
}

/* --- the flags --- */

void rg_options_load_flag(struct rg_options_load *l, const char *flag, const char *path, const char *text)
{
    const struct rg_conf_option *o = rg_conf_option_of(l->from->table, path);
    RG_ASSERT(o);
    if (!text)
        return;
    l->by_flag[l->n_by_flag].flag = flag;
    l->by_flag[l->n_by_flag++].path = path;
    rg_conf_decode_flag(o, flag, text, l->target, &l->errors);
}

/* NULL: the option's value is the file's, or the default. */
static const char *flag_of(const struct rg_options_load *l, const char *path)
{
    for (unsigned i = 0; i < l->n_by_flag; i++)
        if (strcmp(l->by_flag[i].path, path) == 0)
            return l->by_flag[i].flag;
    return NULL;
}

/* In the place of the file's listeners, and of all that the file says of them. */
static void decode_listen_flags(struct rg_options_load *l)
{
    const struct rg_conf_option *o = rg_conf_option_of(l->from->table, "listeners[].address");
    RG_ASSERT(o);
    if (l->from->listen->n == 0)
        return;
    memcpy(l->settings->listeners, l->plain_listeners, sizeof(l->settings->listeners));
    for (size_t i = 0; i < l->from->listen->n; i++)
        rg_conf_decode_flag(o, "--listen", l->from->listen->list[i],
                            (char *)l->target + i * sizeof(l->settings->listeners[0]), &l->errors);
    l->settings->n_listeners = (uint16_t)l->from->listen->n;
}

/* --- what options mean together --- */

struct rg_conf_mark rg_options_mark_of(const struct rg_options_load *l, const char *path)
{
    char section[RG_CONF_TEXT_MAX];
    if (!l->tree)
        return no_mark;
    snprintf(section, sizeof(section), "%s", path);
    for (;;) {
        const struct rg_conf_node *n = rg_conf_tree_find(l->tree, section);
        size_t len = strlen(section);
        if (n)
            return n->mark;
        while (len > 0 && section[len] != '.' && section[len] != '[')
            len--;
        if (len == 0)
            return (struct rg_conf_mark){1, 1};
        section[len] = '\0';
    }
}

bool rg_options_is_given(const struct rg_options_load *l, const char *path)
{
    return l->tree && rg_conf_tree_find(l->tree, path);
}

bool rg_options_file_was_read(const struct rg_options_load *l)
{
    return l->tree && rg_conf_tree_root(l->tree);
}

static void check_addresses(struct rg_options_load *l)
{
    struct rg_settings *s = l->settings;
    bool from_flags = l->from->listen->n > 0;
    if (s->n_listeners == 0) {
        for (const char *const *text = l->from->default_listen; *text; text++) {
            struct rg_address_error why;
            struct rg_address *a = &s->listeners[s->n_listeners++].address;
            RG_ASSERT(rg_address_parse(rg_str_of(*text), RG_ADDRESS_LISTEN, a, &why));
        }
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
        rg_conf_errors_add(&l->errors, from_flags ? no_mark : rg_options_mark_of(l, path), path, got,
                           "each address once", NULL);
    }
}

/* What only the sockets that are there already can tell. */
static void learn_v6_only(struct rg_options_load *l)
{
    struct rg_settings *s = l->settings;
    for (unsigned i = 0; i < s->n_listeners; i++) {
        struct rg_address *a = &s->listeners[i].address;
        for (unsigned j = 0; j < l->from->n_v6_only; j++)
            a->v6_only |= rg_address_equal(a, &l->from->v6_only[j]);
    }
}

/* A listener as the operator knows it: by its flag, by its place in the file, or as the default. */
void rg_options_name_listener(const struct rg_options_load *l, unsigned i, char *buf, size_t len)
{
    const char *text = l->settings->listeners[i].address.text;
    if (l->from->listen->n > 0)
        snprintf(buf, len, "--listen %s", text);
    else if (rg_options_is_given(l, "listeners"))
        snprintf(buf, len, "listeners[%u].address %s", i, text);
    else
        snprintf(buf, len, "the default listener %s", text);
}

/* Whoever may name clients must be named himself. */
static void check_proxy_protocol(struct rg_options_load *l)
{
    for (unsigned i = 0; i < l->settings->n_listeners; i++) {
        const struct rg_listener_settings *s = &l->settings->listeners[i];
        char path[80], parent[64];
        if (s->proxy_mode == RG_PROXY_MODE_OFF || s->n_proxy_trusted > 0 || s->address.sa.sa_family == AF_UNIX)
            continue;
        snprintf(parent, sizeof(parent), "listeners[%u].proxy_protocol", i);
        snprintf(path, sizeof(path), "%s.trusted", parent);
        const struct rg_conf_node *n = rg_conf_tree_find(l->tree, path);
        if (n && n->kind != RG_CONF_NODE_SEQ)
            continue; /* was refused already */
        rg_conf_errors_add(&l->errors, rg_options_mark_of(l, n ? path : parent), path, "nothing",
                           "addresses or prefixes of the proxies in front",
                           "a client that may send a PROXY header has any address it likes");
    }
}

/* A section may be empty elsewhere; here nothing is the opposite of what its author wants. An empty list says that it's
 * meant. */
static void check_tls_of(struct rg_options_load *l, unsigned i)
{
    const struct rg_listener_settings *s = &l->settings->listeners[i];
    char path[64];
    if (s->tls.client_certificates != RG_CLIENT_CERT_OFF && s->tls.client_ca[0] == '\0') {
        snprintf(path, sizeof(path), "listeners[%u].tls.client_ca", i);
        rg_conf_errors_add(&l->errors, rg_options_mark_of(l, path), path, "nothing",
                           "a file with the authorities of client certificates", "client_certificates needs it");
    }
    if (s->redirect_status != 0 && s->tls.n_certificates > 0) {
        snprintf(path, sizeof(path), "listeners[%u].redirect_https", i);
        rg_conf_errors_add(&l->errors, rg_options_mark_of(l, path), path, "a redirection where https is spoken already",
                           "off", "it belongs to the listener of http");
    }
}

static void check_tls(struct rg_options_load *l)
{
    for (unsigned i = 0; l->tree && i < l->settings->n_listeners; i++) {
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
    struct rg_options_load *load;
};

void rg_options_refuse(struct rg_options_findings *findings, const char *path, const char *got, const char *wanted,
                       const char *remedy)
{
    struct rg_options_load *l = findings->load;
    const char *flag = flag_of(l, path);
    rg_conf_errors_add(&l->errors, flag ? no_mark : rg_options_mark_of(l, path), flag ? flag : path, got, wanted,
                       remedy);
}

static void inspect(struct rg_options_load *l)
{
    struct rg_options_findings findings = {l};
    if (l->from->outside->inspect)
        l->from->outside->inspect(l->settings, &findings);
}

/* An error when it was asked for; it follows the head's limit when it is only the default. */
static void check_within_head(struct rg_options_load *l, const char *path, uint32_t *value)
{
    char got[32], head[32], wanted[96];
    uint32_t most = l->settings->head_bytes;
    if (*value <= most)
        return;
    if (!rg_options_is_given(l, path)) {
        *value = most;
        return;
    }
    rg_conf_format_size(*value, got, sizeof(got));
    rg_conf_format_size(most, head, sizeof(head));
    snprintf(wanted, sizeof(wanted), "at most limits.head_bytes, which is %s", head);
    rg_conf_errors_add(&l->errors, rg_options_mark_of(l, path), path, got, wanted, NULL);
}

static void count_workers(struct rg_settings *s)
{
    if (s->workers > 0)
        return;
    unsigned n = rg_cpus_usable();
    s->workers = (uint16_t)(n > RG_WORKERS_MAX ? RG_WORKERS_MAX : n);
}

void rg_options_check_listeners(struct rg_options_load *l)
{
    check_addresses(l);
    learn_v6_only(l);
    check_proxy_protocol(l);
    check_tls(l);
    inspect(l);
}

void rg_options_check_limits(struct rg_options_load *l)
{
    check_within_head(l, "limits.field_bytes", &l->settings->field_bytes);
    check_within_head(l, "limits.target_bytes", &l->settings->target_bytes);
    count_workers(l->settings);
}

/* --- all of it --- */

static int begin(struct rg_options_load *l)
{
    l->settings = l->target;
    rg_conf_errors_init(&l->errors);
    rg_conf_preset(l->from->table, l->target);
    memcpy(l->plain_listeners, l->settings->listeners, sizeof(l->plain_listeners));
    int r = load_file(l);
    if (r == 0)
        decode_listen_flags(l);
    return r;
}

static int run(struct rg_options_load *l, rg_options_load_rest *rest, FILE *err)
{
    int r = begin(l);
    if (r < 0) {
        fprintf(err, "%s: %s\n", l->from->config_path, strerror(-r));
        return r;
    }
    rest(l);
    if (!rg_conf_errors_any(&l->errors))
        return 0;
    rg_conf_errors_print(&l->errors, l->from->config_path, err);
    return -EINVAL;
}

int rg_options_load_run(const struct rg_options_source *from, rg_options_load_rest *rest, void *ret, FILE *err)
{
    struct rg_options_load *l = calloc(1, sizeof(*l));
    void *target = calloc(1, from->size);
    int r = -ENOMEM;
    if (l && target) {
        l->from = from;
        l->target = target;
        r = run(l, rest, err);
        rg_conf_tree_destroy(l->tree);
        rg_conf_errors_fini(&l->errors);
    } else {
        fprintf(err, "%s: %s\n", from->config_path, strerror(ENOMEM));
    }
    if (r == 0)
        memcpy(ret, target, from->size);
    free(target);
    free(l);
    return r;
}
