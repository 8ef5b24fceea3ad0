/*
 * The gateway with routes out of a JSON file, for tests of what routes and upstreams do: no control plane, no
 * artifacts. RINGGATE_ROUTES names the file. It is read when it has been replaced (rename); `revision` of what all
 * workers have is written to FILE.live, what is wrong to FILE.error.
 *
 * A unit is written out, or it is the definition of an artifact, compiled as one that the control plane has sent:
 *
 *   {"revision": 1, "units": [{"artifact": "kind: RestApi ...", "keys": {"name": "sha256 in hex"}}, {"handle": "a",
 *     "upstreams": [{"targets": [{"host": "127.0.0.1", "port": 80, "tls": false, "weight": 1}], "verify": true, ...}],
 *     "routes": [{"path": "/a", "match": "exact", "headers": {"x-tier": "gold"}, "upstream": 0}]}]}
 *
 * upstream: the number of one, "none", or absent for the replica. match: "exact", "template", or absent for a prefix.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "control/artifact/compile.h"
#include "control/common/problems.h"
#include "control/gateway/gateway.h"
#include "control/gateway/gateway_routes.h"
#include "datapath/policy/keys.h"

#define UNITS_MAX 16
#define UPSTREAMS 16
#define TARGETS   16
#define ROUTES    64
#define HEADERS   4
#define LOOK_MS   10

static struct rg_gateway gateway;
static struct {
    const char *path;
    struct stat seen;
    struct rg_alarm look;
    json_int_t revision;
    uint64_t generation; /* of its snapshot */
} file;

static void write_beside(const char *suffix, const char *text)
{
    char name[4096], temporary[4200];
    snprintf(name, sizeof name, "%s.%s", file.path, suffix);
    snprintf(temporary, sizeof temporary, "%s~", name);
    FILE *f = fopen(temporary, "we");
    if (!f)
        abort();
    fputs(text, f);
    fclose(f);
    if (rename(temporary, name) != 0)
        abort();
}

/* ---- from JSON to values; absent members are zero ---- */

static struct rg_str text(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return json_is_string(v) ? (struct rg_str){json_string_value(v), json_string_length(v)} : RG_STR("");
}

static uint32_t number(const json_t *o, const char *key, uint32_t absent)
{
    const json_t *v = json_object_get(o, key);
    return v ? (uint32_t)json_integer_value(v) : absent;
}

static bool yes(const json_t *o, const char *key)
{
    return json_is_true(json_object_get(o, key));
}

static size_t list_of(const json_t *o, const char *key, size_t most)
{
    size_t n = json_array_size(json_object_get(o, key));
    if (n > most)
        abort();
    return n;
}

static struct rg_upstream_spec upstream_of(const json_t *o, struct rg_target_spec *targets)
{
    const json_t *list = json_object_get(o, "targets");
    size_t n = list_of(o, "targets", TARGETS);
    for (size_t i = 0; i < n; i++) {
        const json_t *t = json_array_get(list, i);
        targets[i] = (struct rg_target_spec){.host = text(t, "host"),
                                             .port = (uint16_t)number(t, "port", 0),
                                             .tls = yes(t, "tls"),
                                             .weight = number(t, "weight", 1)};
    }
    return (struct rg_upstream_spec){.name = RG_STR("main"),
                                     .targets = targets,
                                     .n_targets = n,
                                     .base_path = text(o, "base_path"),
                                     .connect_ms = number(o, "connect_ms", 0),
                                     .response_head_ms = number(o, "response_head_ms", 0),
                                     .verify = !json_is_false(json_object_get(o, "verify")),
                                     .ca_file = text(o, "ca_file"),
                                     .cert_file = text(o, "cert_file"),
                                     .key_file = text(o, "key_file"),
                                     .server_name = text(o, "server_name")};
}

static uint32_t way_of(const json_t *o)
{
    return rg_str_eq(text(o, "upstream"), RG_STR("none")) ? RG_UPSTREAM_NONE
                                                          : number(o, "upstream", RG_UPSTREAM_REPLICA);
}

static enum rg_path_match match_of(const json_t *o)
{
    struct rg_str match = text(o, "match");
    return rg_str_eq(match, RG_STR("exact"))      ? RG_PATH_EXACT
           : rg_str_eq(match, RG_STR("template")) ? RG_PATH_TEMPLATE
                                                  : RG_PATH_PREFIX;
}

static size_t headers_of(const json_t *o, struct rg_header_spec *headers)
{
    const char *name;
    json_t *value;
    size_t n = 0;
    json_object_foreach(json_object_get(o, "headers"), name, value)
    {
        if (n == HEADERS)
            abort();
        headers[n++] = (struct rg_header_spec){.name = rg_str_of(name), .value = rg_str_of(json_string_value(value))};
    }
    return n;
}

static struct rg_route_spec route_of(const json_t *o, struct rg_header_spec *headers)
{
    return (struct rg_route_spec){.name = text(o, "path"),
                                  .host = text(o, "host"),
                                  .method = text(o, "method"),
                                  .path = text(o, "path"),
                                  .path_match = match_of(o),
                                  .headers = headers,
                                  .n_headers = headers_of(o, headers),
                                  .upstream = way_of(o),
                                  .response_head_ms = number(o, "response_head_ms", 0),
                                  .body_idle_ms = number(o, "body_idle_ms", 0),
                                  .context_bytes = number(o, "context_bytes", 0),
                                  .keep_host = yes(o, "keep_host")};
}

/* ---- of artifacts ---- */

static struct rg_key_set *key_set; /* of all of them; lives on, as that of the agent does */

static struct rg_key_set *keys_of(void *owner, const struct rg_artifact *artifact)
{
    (void)owner;
    (void)artifact;
    return key_set;
}

static void replace_keys(const json_t *keys)
{
    struct rg_key list[16];
    size_t n = 0;
    const char *name;
    json_t *hash;
    json_object_foreach((json_t *)(uintptr_t)keys, name, hash)
    {
        list[n] = (struct rg_key){.name = rg_str_of(name)};
        if (n == 16 || !rg_key_hash_parse(rg_str_of(json_string_value(hash)), list[n++].hash))
            abort();
    }
    if ((!key_set && !(key_set = rg_key_set_create())) || rg_key_set_replace(key_set, list, n) < 0)
        abort();
}

static struct rg_unit *compile_unit(const json_t *o)
{
    struct rg_str yaml = text(o, "artifact");
    const struct rg_unit_place place = {.workers = gateway.n_workers, .endpoints = gateway.endpoints};
    const struct rg_compile_context context = {.keys = keys_of, .place = &place};
    struct rg_artifact *artifact = NULL;
    struct rg_unit *unit = NULL;
    struct rg_problems why;
    char message[4096] = "";
    rg_problems_init(&why);
    replace_keys(json_object_get(o, "keys"));
    if (rg_artifact_decode(yaml.ptr, yaml.len, &artifact, &why) < 0 ||
        rg_compile(artifact, &context, &unit, &why) < 0) {
        FILE *f = fmemopen(message, sizeof message, "w");
        rg_problems_write(&why, "; ", f);
        fclose(f);
        write_beside("error", message);
    }
    rg_artifact_destroy(artifact);
    rg_problems_fini(&why);
    return unit;
}

static struct rg_unit *make_unit(const json_t *o)
{
    if (json_object_get(o, "artifact"))
        return compile_unit(o);
    struct rg_target_spec targets[UPSTREAMS][TARGETS];
    struct rg_upstream_spec upstreams[UPSTREAMS];
    struct rg_route_spec routes[ROUTES];
    struct rg_header_spec headers[ROUTES][HEADERS];
    struct rg_unit_spec spec = {.kind = RG_STR("RestApi"),
                                .handle = text(o, "handle"),
                                .upstreams = upstreams,
                                .n_upstreams = list_of(o, "upstreams", UPSTREAMS),
                                .routes = routes,
                                .n_routes = list_of(o, "routes", ROUTES)};
    for (size_t i = 0; i < spec.n_upstreams; i++)
        upstreams[i] = upstream_of(json_array_get(json_object_get(o, "upstreams"), i), targets[i]);
    for (size_t i = 0; i < spec.n_routes; i++)
        routes[i] = route_of(json_array_get(json_object_get(o, "routes"), i), headers[i]);
    const struct rg_unit_place place = {.workers = gateway.n_workers, .endpoints = gateway.endpoints};
    struct rg_unit_fault fault;
    struct rg_unit *unit = NULL;
    if (rg_unit_create(&unit, &spec, &place, &fault) < 0) {
        char why[512];
        snprintf(why, sizeof why, "%s: %s", fault.field, fault.text);
        write_beside("error", why);
    }
    return unit;
}

/* ---- the file ---- */

static void publish(const json_t *root)
{
    struct rg_unit *units[UNITS_MAX];
    struct rg_route_conflict conflict;
    size_t n = list_of(root, "units", UNITS_MAX), made = 0;
    while (made < n && (units[made] = make_unit(json_array_get(json_object_get(root, "units"), made))))
        made++;
    file.revision = json_integer_value(json_object_get(root, "revision"));
    if (made == n && rg_gateway_publish_routes(&gateway, units, n, &file.generation, &conflict) < 0)
        write_beside("error", "can't be published");
    while (made > 0)
        rg_unit_unref(units[--made]);
}

static void look(struct rg_alarm *a)
{
    struct stat st;
    if (stat(file.path, &st) == 0 &&
        (st.st_ino != file.seen.st_ino || st.st_mtim.tv_nsec != file.seen.st_mtim.tv_nsec)) {
        file.seen = st;
        json_t *root = json_load_file(file.path, 0, NULL);
        if (!root)
            abort();
        publish(root);
        json_decref(root);
    }
    rg_loop_set_alarm(&gateway.loop, a, LOOK_MS);
}

static void live(void *arg, uint64_t generation)
{
    char text_of[32];
    (void)arg;
    if (generation != file.generation)
        return;
    snprintf(text_of, sizeof text_of, "%" JSON_INTEGER_FORMAT, file.revision);
    write_beside("live", text_of);
}

int main(int argc, char **argv)
{
    static struct rg_settings settings;
    struct rg_flags flags;
    file.path = getenv("RINGGATE_ROUTES");
    if (!file.path || rg_flags_parse(argc, argv, &flags, stderr) < 0 || rg_options_load(&flags, &settings, stderr) < 0)
        return RG_EXIT_USAGE;
    int status = RG_EXIT_FAILED;
    if (rg_gateway_init(&gateway, &flags, &settings, NULL) == 0 && rg_gateway_load_certificates(&gateway) == 0 &&
        rg_gateway_open_listeners(&gateway) == 0 && rg_gateway_start_workers(&gateway) == 0) {
        gateway.routes.on_live = live;
        file.look.due = look;
        rg_loop_set_alarm(&gateway.loop, &file.look, 0);
        status = rg_gateway_serve(&gateway);
    }
    rg_gateway_fini(&gateway);
    rg_key_set_unref(key_set);
    return status;
}
