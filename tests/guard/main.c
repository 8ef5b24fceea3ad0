/*
 * guard_work EXCHANGES: passes 10,000 recorded requests and responses through the HTTP code, for callgrind to count the
 * instructions of it (guard.py). First each one is looked at without being counted: a change that makes the gateway do
 * less because it gets something wrong must not look like a gain. Thread: main.
 */
#include <stdio.h>

#include "tests/guard/work.h"

#define RECORDS 10000

static struct rg_work work;
static const struct rg_record *records;
static struct rg_field fields[RG_H1_FIELDS_MAX];

/* A length that the body behind a written head has to have. */
static bool length_is(const struct rg_framing *f, size_t recorded)
{
    return f->kind != RG_BODY_LENGTH || f->length == recorded;
}

/* What went out is a request, and has the body that came in. */
static const char *judge_request(const struct rg_record *r)
{
    static const struct rg_h1_limits limits = {65536, 65536, 65536, RG_H1_FIELDS_MAX, false};
    static const struct rg_framing_options options = {0};
    struct rg_h1_resume resume = {0};
    struct rg_h1_request in, out;
    struct rg_framing framing_in = {0}, framing_out = {0};
    enum rg_reason reason;
    int32_t head_in = rg_h1_parse_request(&resume, r->request.ptr, r->request.len, &limits, fields, &in, &reason);
    if (head_in <= 0 || rg_h1_frame_request(&in, &options, &framing_in) != RG_REASON_NONE)
        return "the recorded request is refused";
    int32_t head_out = rg_h1_parse_request(&resume, work.request, work.request_len, &limits, fields, &out, &reason);
    if (head_out <= 0 || rg_h1_frame_request(&out, &options, &framing_out) != RG_REASON_NONE)
        return "the rewritten request is refused";
    if (framing_in.kind != framing_out.kind || framing_in.length != framing_out.length || in.method_id != out.method_id)
        return "the rewritten request has another body or method";
    return length_is(&framing_in, r->request.len - (size_t)head_in) ? NULL
                                                                    : "the recorded request's Content-Length is wrong";
}

static const char *judge_response(const struct rg_record *r)
{
    static const struct rg_h1_limits limits = {65536, 65536, 65536, RG_H1_FIELDS_MAX, true};
    struct rg_h1_resume resume = {0};
    struct rg_h1_response in, out;
    enum rg_reason reason;
    enum rg_method method = r->request.ptr[0] == 'H' ? RG_METHOD_HEAD : RG_METHOD_GET;
    struct rg_framing framing_in = {0}, framing_out = {0};
    int32_t head_in = rg_h1_parse_response(&resume, r->response.ptr, r->response.len, &limits, fields, &in, &reason);
    if (head_in <= 0 || rg_h1_frame_response(&in, method, true, &framing_in) != RG_REASON_NONE)
        return "the recorded response is refused";
    int32_t head_out = rg_h1_parse_response(&resume, work.response, work.response_len, &limits, fields, &out, &reason);
    if (head_out <= 0 || rg_h1_frame_response(&out, method, true, &framing_out) != RG_REASON_NONE)
        return "the rewritten response is refused";
    if (framing_in.kind != framing_out.kind || framing_in.length != framing_out.length || in.status != out.status)
        return "the rewritten response has another body or status";
    return length_is(&framing_in, r->response.len - (size_t)head_in)
               ? NULL
               : "the recorded response's Content-Length is wrong";
}

static int complain(const struct rg_record *r, const char *what)
{
    fprintf(stderr, "guard_work: %s: %s", r->name, what);
    if (work.failed && work.reason != RG_REASON_NONE) {
        struct rg_str name = rg_reason_info(work.reason)->name;
        fprintf(stderr, " (%.*s)", (int)name.len, name.ptr);
    }
    fprintf(stderr, "\n");
    return 1;
}

/* What all written heads together are: any change of what goes out shows, and is then meant. */
static uint64_t hash(uint64_t h, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)p[i]) * 0x100000001b3u;
    return h;
}

static int check_all(uint64_t *ret_hash)
{
    uint64_t h = 0xcbf29ce484222325u;
    rg_work_init(&work);
    for (size_t i = 0; i < RECORDS; i++) {
        if (!rg_work_one(&work, &records[i]))
            return complain(&records[i], work.failed);
        const char *wrong = judge_request(&records[i]);
        if (!wrong)
            wrong = judge_response(&records[i]);
        if (wrong)
            return complain(&records[i], wrong);
        h = hash(h, work.request, work.request_len);
        h = hash(h, work.response, work.response_len);
    }
    *ret_hash = h;
    return 0;
}

int main(int argc, char **argv)
{
    uint64_t h = 0;
    if (argc != 2) {
        fprintf(stderr, "usage: guard_work EXCHANGES\n");
        return 2;
    }
    records = rg_record_load(argv[1], RECORDS);
    if (!records || check_all(&h) != 0)
        return 1;
    rg_work_init(&work);
    size_t done = rg_guard_work(&work, records, RECORDS);
    if (done != RECORDS)
        return complain(&records[done], work.failed);
    printf("exchanges %d output %016llx\n", RECORDS, (unsigned long long)h);
    return 0;
}
