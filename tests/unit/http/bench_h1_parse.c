/* Prints nanoseconds per head, best of several rounds: for comparing builds by hand. Judges nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "datapath/http/h1_framing.h"

#define TIMES  200000
#define ROUNDS 9

static const struct {
    const char *what, *head;
} heads[] = {
    {"wrk", "GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n"},
    {"curl", "GET /api/v2/status HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n"},
    {"curl upload", "POST /api/v2/canister/x/call HTTP/1.1\r\nHost: gateway.example.com\r\nUser-Agent: curl/7.88.1\r\n"
                    "Accept: */*\r\nContent-Type: application/cbor\r\nContent-Length: 312\r\n\r\n"},
    {"browser",
     "GET /articles/2026/11/a-page-with-a-rather-long-name.html?from=start&lang=en HTTP/1.1\r\n"
     "Host: www.example.com\r\nConnection: keep-alive\r\n"
     "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 "
     "Safari/537.36\r\n"
     "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n"
     "Accept-Language: en-GB,en;q=0.7,de;q=0.3\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n"
     "Upgrade-Insecure-Requests: 1\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\n"
     "Referer: https://www.example.com/index.html?a=b\r\nIf-None-Match: \"5f3c-1234567\"\r\n"
     "Cookie: session=6f1d5c0e8b9a4f7d; theme=dark; consent=yes; visited=12,55,8192,77; last=2026-11-20\r\n\r\n"},
    {"nginx response",
     "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sat, 21 Nov 2026 05:00:00 GMT\r\n"
     "Content-Type: application/octet-stream\r\nContent-Length: 1024\r\n"
     "Last-Modified: Sat, 21 Nov 2026 04:00:00 GMT\r\nConnection: keep-alive\r\nETag: \"653a-400\"\r\n"
     "Accept-Ranges: bytes\r\n\r\n"},
};

static const struct rg_h1_limits limits = {
    .head_bytes = 32768, .field_bytes = 16384, .target_bytes = 8192, .fields = 100};
static struct rg_field fields[RG_H1_FIELDS_MAX];
static struct rg_h1_request req;
static struct rg_h1_response res;

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void parse(const char *head, size_t len, bool is_response)
{
    struct rg_h1_resume resume = {0};
    enum rg_reason reason = RG_REASON_NONE;
    int32_t n = is_response ? rg_h1_parse_response(&resume, head, len, &limits, fields, &res, &reason)
                            : rg_h1_parse_request(&resume, head, len, &limits, fields, &req, &reason);
    if (n != (int32_t)len)
        abort();
}

static void frame(bool is_response)
{
    static const struct rg_framing_options options = {.body_bytes = 0};
    struct rg_framing framing;
    enum rg_reason reason = is_response ? rg_h1_frame_response(&res, RG_METHOD_GET, false, &framing)
                                        : rg_h1_frame_request(&req, &options, &framing);
    if (reason != RG_REASON_NONE)
        abort();
}

int main(void)
{
    for (size_t i = 0; i < sizeof(heads) / sizeof(*heads); i++) {
        size_t len = strlen(heads[i].head);
        bool is_response = heads[i].head[0] == 'H';
        char *copy = malloc(len); /* exactly as long: no room to read beyond, as in a full buffer */
        double best_parse = 1e9, best_frame = 1e9;
        if (!copy)
            return 1;
        memcpy(copy, heads[i].head, len);
        for (int round = 0; round < ROUNDS; round++) {
            double start = now_ns();
            for (int n = 0; n < TIMES; n++)
                parse(copy, len, is_response);
            double parsed = now_ns();
            for (int n = 0; n < TIMES; n++)
                frame(is_response);
            double framed = now_ns();
            best_parse = parsed - start < best_parse ? parsed - start : best_parse;
            best_frame = framed - parsed < best_frame ? framed - parsed : best_frame;
        }
        printf("%-14s %4zu bytes: parse %6.1f ns, frame %5.1f ns\n", heads[i].what, len, best_parse / TIMES,
               best_frame / TIMES);
        free(copy);
    }
    return 0;
}
