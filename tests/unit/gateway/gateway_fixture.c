#include "gateway_fixture.h"
#include "tests/unit/scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <unistd.h>

char fixture_dir[64], fixture_config[96];
struct rg_flags fixture_flags;
struct rg_gateway gateway;
char *text;

/* A port that nobody uses at the moment. */
static unsigned free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    close(fd);
    return ntohs(a.sin_port);
}

static unsigned port;

void write_config(const char *more)
{
    FILE *f = fopen(fixture_config, "w");
    assert_non_null(f);
    fprintf(f, "workers: 2\nlisteners: [{address: \"127.0.0.1:%u\"}, {address: \"unix:%s/l.sock\"}]\n", port,
            fixture_dir);
    fprintf(f, "admin: {address: \"unix:%s/admin.sock\"}\n%s", fixture_dir, more);
    fclose(f);
}

int fixture_setup(void **state)
{
    (void)state;
    scratch_create(fixture_dir, sizeof(fixture_dir));
    snprintf(fixture_config, sizeof(fixture_config), "%s/ringgate.yaml", fixture_dir);
    fixture_flags = (struct rg_flags){.config_path = fixture_config, .config_given = true};
    fake_worker_rules = (struct fake_worker_rules){0};
    fake_steer = (struct fake_steer){0};
    port = free_port();
    write_config(REPLICA);
    return 0;
}

int fixture_teardown(void **state)
{
    (void)state;
    rg_gateway_fini(&gateway);
    assert_int_equal(fake_worker_rules.alive, 0);
    assert_int_equal(fake_steer.alive, 0);
    free(text);
    text = NULL;
    return scratch_remove(fixture_dir);
}

void start_gateway(void)
{
    static struct rg_settings settings;
    assert_int_equal(rg_options_load(&fixture_flags, &settings, stderr), 0);
    assert_int_equal(rg_gateway_init(&gateway, &fixture_flags, &settings, NULL), 0);
    assert_int_equal(rg_gateway_open_listeners(&gateway), 0);
    rg_gateway_load_steering(&gateway);
    assert_int_equal(rg_gateway_start_workers(&gateway), 0);
}

struct fake_worker *fake(uint16_t id)
{
    return fake_worker_of(gateway.workers[id].worker);
}

FILE *report(void)
{
    static size_t len;
    free(text);
    text = NULL;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    return out;
}

int reload(void)
{
    FILE *out = report();
    int r = rg_gateway_reload(&gateway, out);
    fclose(out);
    return r;
}

uint16_t ask(enum rg_method method, const char *path, const char *query, const char *body)
{
    static const char *const names[] = {
        [RG_METHOD_GET] = "GET", [RG_METHOD_POST] = "POST", [RG_METHOD_PUT] = "PUT", [RG_METHOD_DELETE] = "DELETE"};
    struct rg_h1_request head = {.method_id = (uint8_t)method, .method = rg_str_of(names[method])};
    struct rg_http_request req = {
        .head = &head, .path = rg_str_of(path), .query = rg_str_of(query), .body = rg_str_of(body)};
    struct rg_admin_answer answer = {.status = 200, .content_type = "application/json", .body = report()};
    rg_gateway_answer(&gateway.admin, &req, &answer);
    fclose(answer.body);
    if (answer.status == 405)
        assert_non_null(answer.allow);
    return answer.status;
}
