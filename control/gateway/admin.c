/* See admin.h. */
#include "control/gateway/admin.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/common/descriptors.h"
#include "control/gateway/listen.h"

/* ---- Answers ---- */

/* "127.0.0.1:9901", "[::1]", "localhost:80" without the port, and without brackets. */
static struct rg_str name_of(struct rg_str host)
{
    bool is_v6 = host.len > 0 && host.ptr[0] == '[';
    const char *end = host.len ? memchr(host.ptr, is_v6 ? ']' : ':', host.len) : NULL;
    struct rg_str name = {host.ptr, end ? (size_t)(end - host.ptr) : host.len};
    return is_v6 ? (struct rg_str){name.ptr + 1, name.len - 1} : name;
}

bool rg_admin_is_foreign_host(struct rg_str host)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr ignored;
    struct rg_str name = name_of(host);
    if (name.len == 0 || rg_str_eq_nocase(name, RG_STR("localhost")))
        return false; /* browsers always send one */
    if (name.len >= sizeof(text))
        return true;
    memcpy(text, name.ptr, name.len);
    text[name.len] = '\0';
    return inet_pton(AF_INET, text, &ignored) != 1 && inet_pton(AF_INET6, text, &ignored) != 1;
}

static void refuse_host(struct rg_http_call *call, struct rg_str host)
{
    char *text = NULL;
    size_t len = 0;
    FILE *body = open_memstream(&text, &len);
    if (body) {
        fputs("{\"status\":421,\"reason\":\"foreign-host\",\"message\":\"got Host ", body);
        for (size_t i = 0; i < host.len && i < 64; i++) /* what an authority is made of needs no escapes */
            fputc(host.ptr[i], body);
        fputs(", wanted an IP address or localhost; a name could have been made to lead here by a web page\"}\n", body);
        fclose(body);
    }
    rg_http_reply(call, &(struct rg_http_reply){.status = 421, .body = {text, text ? len : 0}});
    free(text);
}

static void handle(struct rg_http_server *s, struct rg_http_call *call, const struct rg_http_request *req)
{
    struct rg_admin *a = RG_OWNER(s, struct rg_admin, http);
    struct rg_admin_answer answer = {.status = 200, .content_type = "application/json"};
    char *text = NULL;
    size_t len = 0;
    bool is_good = false;
    if (a->address.sa.sa_family != AF_UNIX && rg_admin_is_foreign_host(req->host)) {
        refuse_host(call, req->host);
        return;
    }
    answer.body = open_memstream(&text, &len);
    if (answer.body) {
        a->answer(a, req, &answer);
        is_good = ferror(answer.body) == 0;
        is_good = fclose(answer.body) == 0 && is_good;
    }
    struct rg_http_header allow = {"Allow", answer.allow};
    struct rg_http_reply reply = {.status = is_good ? answer.status : 500,
                                  .content_type = answer.content_type,
                                  .body = {text, is_good ? len : 0},
                                  .headers = &allow,
                                  .n_headers = is_good && answer.allow};
    rg_http_reply(call, &reply);
    free(text);
}

/* ---- Accepting ---- */

/* What an answer and a probe need beside the connections: a log or a file that is read, a directory, a socket. */
#define RESERVE_FOR_OTHERS 3

static bool may_take_reserve(const struct rg_admin *a)
{
    uint32_t from = rg_descriptors_of_datapath();
    uint32_t held = rg_http_connections_from(&a->http, (int)from);
    return held + RESERVE_FOR_OTHERS < rg_descriptors_limit() - from;
}

/* When clients of the gateway hold all descriptors, with one of the reserve. EMFILE: there is none for us. */
static int accept_client(struct rg_http_server *s)
{
    const struct rg_admin *a = RG_OWNER(s, struct rg_admin, http);
    int fd = accept4(s->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0 || errno != EMFILE || !may_take_reserve(a))
        return fd;
    rg_descriptors_lift();
    fd = accept4(s->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    rg_descriptors_lower();
    return fd;
}

/* ---- Start and end ---- */

void rg_admin_init(struct rg_admin *a, struct rg_loop *loop)
{
    static const struct rg_http_options options = {.connections = RG_ADMIN_CONNECTIONS,
                                                   .head_bytes = RG_ADMIN_HEAD_MAX,
                                                   .body_bytes = RG_ADMIN_BODY_MAX,
                                                   .timeout_ms = RG_ADMIN_TIMEOUT_MS};
    *a = (struct rg_admin){.listen_fd = -1};
    rg_http_server_init(&a->http, loop, &options);
    a->http.handle = handle;
    a->http.accept = accept_client;
}

int rg_admin_open(struct rg_admin *a, const struct rg_address *address, char *why, size_t why_len)
{
    int fd = rg_listen_single(address, why, why_len);
    if (fd < 0)
        return fd;
    a->listen_fd = fd;
    a->is_open = true;
    a->address = *address;
    a->owns_file = address->sa.sa_family == AF_UNIX && address->un.sun_path[0] != '\0';
    socklen_t len = sizeof(a->address.un);
    if (!a->owns_file && getsockname(fd, &a->address.sa, &len) == 0) { /* a port of 0 has become one */
        a->address.len = len;
        rg_address_format(&a->address, a->address.text, sizeof(a->address.text));
    }
    return 0;
}

int rg_admin_start(struct rg_admin *a)
{
    if (a->listen_fd < 0)
        return 0;
    a->http.requests = a->requests;
    a->http.refused = a->refused;
    int r = rg_http_server_start(&a->http, a->listen_fd);
    if (r == 0)
        a->listen_fd = -1; /* the server's now */
    return r;
}

static void remove_file(struct rg_admin *a)
{
    if (a->owns_file)
        unlink(a->address.un.sun_path);
    a->owns_file = false;
}

bool rg_admin_finish(struct rg_admin *a)
{
    remove_file(a);
    return rg_http_server_finish(&a->http);
}

void rg_admin_fini(struct rg_admin *a)
{
    remove_file(a);
    if (a->listen_fd >= 0)
        close(a->listen_fd);
    a->listen_fd = -1;
    rg_http_server_fini(&a->http);
}
