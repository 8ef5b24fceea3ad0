#include "listen_fixture.h"
#include "tests/unit/scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "control/common/address.h"

char fixture_dir[64];
struct rg_settings settings;
struct rg_listen_set set;
char why[RG_LISTEN_ERROR_MAX];

int fixture_setup(void **state)
{
    (void)state;
    scratch_create(fixture_dir, sizeof(fixture_dir));
    memset(&settings, 0, sizeof(settings));
    settings.workers = 3;
    settings.backlog = 128;
    why[0] = '\0';
    return 0;
}

int fixture_teardown(void **state)
{
    (void)state;
    rg_listen_unlink(&set);
    rg_listen_close(&set);
    return scratch_remove(fixture_dir);
}

void parse(const char *text, struct rg_address *ret)
{
    struct rg_address_error error;
    size_t len = strlen(text);
    bool any = len > 2 && strcmp(text + len - 2, ":0") == 0;
    char changed[128];
    snprintf(changed, sizeof(changed), "%.*s%s", (int)(any ? len - 1 : len), text, any ? "1" : "");
    assert_true(rg_address_parse(rg_str_of(changed), RG_ADDRESS_LISTEN, ret, &error));
    if (any)
        ret->in6.sin6_port = 0; /* at the same place in both families */
}

void add(const char *text)
{
    parse(text, &settings.listeners[settings.n_listeners++].address);
}

void add_unix(const char *name)
{
    char text[128];
    snprintf(text, sizeof(text), "unix:%s/%s", fixture_dir, name);
    add(text);
}

uint16_t port_of(int fd)
{
    struct sockaddr_in6 a = {0};
    socklen_t len = sizeof(a);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    return ntohs(a.sin6_port);
}

int connect_to(const struct rg_address *a)
{
    int fd = socket(a->sa.sa_family, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    if (connect(fd, &a->sa, a->len) == 0)
        return fd;
    close(fd);
    return -1;
}
