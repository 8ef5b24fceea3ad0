/* See client_trouble.h. */
#include "control/cli/client_trouble.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>

struct trouble {
    int error;
    const char *happened;
    const char *remedy;
};

/* Of several codes with one meaning, the words of libcurl tell which it was. */
static struct trouble of_code(CURLcode code, const struct rg_client *client)
{
    switch (code) {
    case CURLE_COULDNT_CONNECT:
        return (struct trouble){-ECONNREFUSED, "can't be reached",
                                client->config.unix_socket ? "is the gateway running, and may you use its socket?"
                                : client->config.is_admin  ? "is the gateway running, and is that its admin.address?"
                                                           : "is it running there? --platform URL or "
                                                             "RINGGATE_PLATFORM names another address"};
    case CURLE_COULDNT_RESOLVE_HOST:
        return (struct trouble){-EHOSTUNREACH, "has a name that can't be resolved",
                                client->config.is_admin ? "check the host in --admin ADDR"
                                                        : "check the host in --platform URL or RINGGATE_PLATFORM"};
    case CURLE_OPERATION_TIMEDOUT:
        return (struct trouble){-ETIMEDOUT, "did not answer in time", "try again, or look at its log"};
    case CURLE_PEER_FAILED_VERIFICATION:
        return (struct trouble){-EPROTO, "has a certificate that is not trusted",
                                "name its authority with --ca-file FILE, or use the host that the certificate is for"};
    case CURLE_SSL_CACERT_BADFILE:
        return (struct trouble){-EINVAL, "can't be verified: the file of --ca-file can't be used",
                                "name a readable file with certificates in PEM"};
    case CURLE_SSL_CONNECT_ERROR:
        return (struct trouble){-EPROTO, "can't be spoken to over TLS", "does it speak https on this port?"};
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
        return (struct trouble){-EINVAL, "is no address", "wanted http://HOST[:PORT] or https://HOST[:PORT]"};
    case CURLE_WEIRD_SERVER_REPLY:
        return (struct trouble){-EPROTO, "does not speak HTTP", "is this the platform's port?"};
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_PARTIAL_FILE:
        return (struct trouble){-EPIPE, "ended the connection before the answer was complete",
                                "try again, or look at its log"};
    default:
        return (struct trouble){-EIO, "could not be asked", "try again, or look at its log"};
    }
}

static const char *name_of(const struct rg_client *client)
{
    return client->config.unix_socket ? client->config.unix_socket : client->config.url;
}

int rg_client_trouble(struct rg_client *client, int code, const char *why)
{
    struct trouble t = of_code((CURLcode)code, client);
    const char *words = why[0] ? why : curl_easy_strerror((CURLcode)code);
    snprintf(client->trouble, sizeof(client->trouble), "%s %s (%s); %s", name_of(client), t.happened, words, t.remedy);
    return t.error;
}

int rg_client_trouble_url(struct rg_client *client)
{
    snprintf(client->trouble, sizeof(client->trouble),
             "got %s as the platform's address, wanted http://HOST[:PORT] or https://HOST[:PORT]; see --platform and "
             "RINGGATE_PLATFORM",
             client->config.url[0] ? client->config.url : "nothing");
    return -EINVAL;
}

int rg_client_trouble_size(struct rg_client *client)
{
    snprintf(client->trouble, sizeof(client->trouble),
             "%s answered with more than %u MiB, which is no answer of a platform; is this the right address?",
             name_of(client), RG_CLIENT_ANSWER_MAX / 1024 / 1024);
    return -EFBIG;
}

int rg_client_trouble_memory(struct rg_client *client)
{
    snprintf(client->trouble, sizeof(client->trouble), "no memory for the request");
    return -ENOMEM;
}
