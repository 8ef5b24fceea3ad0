/* See client.h. */
#include "datapath/base/client.h"

#include <arpa/inet.h>
#include <string.h>

/* Without what is not the address: 192.0.2.1:443, [2001:db8::1]:443. Some proxies forward the port, and each connection
 * has another one. */
static struct rg_str without_port(struct rg_str client)
{
    const char *colon = memchr(client.ptr, ':', client.len), *end = client.ptr + client.len;
    if (client.len > 2 && *client.ptr == '[') {
        const char *close = memchr(client.ptr, ']', client.len);
        return close ? (struct rg_str){client.ptr + 1, (size_t)(close - client.ptr - 1)} : client;
    }
    if (!colon || memchr(colon + 1, ':', (size_t)(end - colon - 1)))
        return client;
    return (struct rg_str){client.ptr, (size_t)(colon - client.ptr)};
}

struct rg_str rg_client_network(struct rg_str client, struct in6_addr *room)
{
    char text[INET6_ADDRSTRLEN];
    if (client.len == 0)
        return client;
    struct rg_str address = without_port(client);
    if (address.len >= sizeof text)
        return address;
    memcpy(text, address.ptr, address.len);
    text[address.len] = '\0';
    if (inet_pton(AF_INET, text, room) == 1)
        return (struct rg_str){(const char *)room, 4};
    if (inet_pton(AF_INET6, text, room) != 1)
        return address;
    return IN6_IS_ADDR_V4MAPPED(room) ? (struct rg_str){(const char *)room + 12, 4}
                                      : (struct rg_str){(const char *)room, 8};
}
