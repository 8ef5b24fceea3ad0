/*
 * Why: what every call of the platform's API has in common: paths, pages, and an answer that is no success put into
 * words. Thread: the program has one.
 */
#include "control/cli/cli.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define PAGE     100
#define LIST_MAX 100000 /* more is no list that anybody reads, or one without an end */

void rg_cli_tell(const struct rg_cli *cli, const char *format, ...)
{
    va_list args;
    char *text;
    if (cli->style.format != RG_OUTPUT_TABLE)
        return;
    va_start(args, format);
    int len = vasprintf(&text, format, args);
    va_end(args);
    if (len < 0)
        return;
    rg_output_text(text, (size_t)len, stdout);
    fputc('\n', stdout);
    fflush(stdout);
    free(text);
}

const char *rg_cli_text(const json_t *object, const char *member)
{
    const char *text = json_string_value(json_object_get(object, member));
    return text ? text : "";
}

/* ---- paths ---- */

static size_t escape(char *to, size_t room, const char *text)
{
    size_t n = 0;
    for (; *text && n + 4 < room; text++) {
        unsigned char c = (unsigned char)*text;
        if (isalnum(c) || strchr("-._~", c))
            to[n++] = (char)c;
        else
            n += (size_t)snprintf(to + n, 4, "%%%02X", c);
    }
    return n;
}

const char *rg_cli_path(char buf[RG_CLI_PATH_MAX], const char *format, ...)
{
    va_list args;
    size_t n = 0;
    va_start(args, format);
    for (const char *p = format; *p && n + 1 < RG_CLI_PATH_MAX; p++) {
        if (p[0] == '%' && p[1] == 's') {
            n += escape(buf + n, RG_CLI_PATH_MAX - n, va_arg(args, const char *));
            p++;
        } else {
            buf[n++] = *p;
        }
    }
    va_end(args);
    buf[n] = '\0';
    return buf;
}

/* ---- answers that are no success ---- */

static void complain_of_token(const struct rg_cli *cli, const char *what)
{
    const char *from = cli->options.token_file ? cli->options.token_file : "RINGGATE_TOKEN";
    if (!cli->client.config.token)
        rg_cli_complain("can't %s: %s wants a token; name its file with --token-file, or put it into RINGGATE_TOKEN "
                        "(the platform wrote one to admin.token in its data directory)",
                        what, cli->client.config.url);
    else
        rg_cli_complain("can't %s: %s refused the token of %s: it is wrong, expired or revoked; is it the one in "
                        "admin.token of the platform's data directory?",
                        what, cli->client.config.url, from);
}

/* An item of "errors" is a text, or an object that names a field. */
void rg_cli_show_problem(const struct rg_cli *cli, const json_t *item, const char *code)
{
    struct rg_cli_place place = {"", ""};
    const char *field = rg_cli_text(item, "field"), *text = json_string_value(item);
    if (cli->place)
        cli->place(cli->place_owner, field, &place);
    else
        snprintf(place.path, sizeof(place.path), "%s", field);
    rg_cli_problem(&(struct rg_cli_problem){place.place, place.path, text ? text : rg_cli_text(item, "message")}, code);
}

static void note_answer(const struct rg_client_answer *a)
{
    static const char *const members[] = {"code", "trackingId"};
    rg_report_note("httpStatus", json_integer(a->status));
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
        if (rg_cli_text(a->json, members[i])[0])
            rg_report_note(members[i], json_incref(json_object_get(a->json, members[i])));
}

/* Names that are unknown: what lists those that are known. */
static const struct {
    const char *code, *command;
} listings[] = {
    {"GATEWAY_NOT_FOUND", "rgctl gateway list"},
    {"GATEWAY_TOKEN_NOT_FOUND", "rgctl token list GATEWAY"},
    {"REST_API_NOT_FOUND", "rgctl list rest-apis"},
    {"LLM_PROVIDER_NOT_FOUND", "rgctl list llm-providers"},
    {"LLM_PROXY_NOT_FOUND", "rgctl list llm-proxies"},
    {"LLM_PROVIDER_TEMPLATE_NOT_FOUND", "rgctl list llm-provider-templates"},
    {"API_KEY_NOT_FOUND", "rgctl api-key list KIND/NAME"},
    {"SECRET_NOT_FOUND", "rgctl secret list"},
    {"TOKEN_NOT_FOUND", "rgctl access-token list"},
};

static void show_listing(const char *code)
{
    for (size_t i = 0; i < sizeof(listings) / sizeof(listings[0]); i++)
        if (strcmp(code, listings[i].code) == 0)
            rg_cli_detail("%s shows those there are", listings[i].command);
}

void rg_cli_complain_of_answer(const struct rg_cli *cli, const char *what, const struct rg_client_answer *a)
{
    const char *code = rg_cli_text(a->json, "code"), *message = rg_cli_text(a->json, "message");
    const char *tracking = rg_cli_text(a->json, "trackingId");
    const json_t *errors = json_object_get(a->json, "errors");
    size_t n = json_array_size(errors);
    if (a->status == 401) {
        complain_of_token(cli, what);
        note_answer(a);
        return;
    }
    if (!message[0]) {
        rg_cli_complain("can't %s: %s answered %ld, not as a platform does; is this the right address?", what,
                        cli->client.config.url, a->status);
        note_answer(a);
        return;
    }
    /* a list of what is wrong says it better than the sentence before it, which often repeats the first */
    rg_cli_complain("can't %s%s%s (%s%s%ld%s%s)%s", what, n > 0 ? "" : ": ", n > 0 ? "" : message, code,
                    code[0] ? ", " : "", a->status, tracking[0] ? ", tracking id " : "", tracking,
                    n > 0 && rg_report_is_for_people() ? ":" : "");
    note_answer(a);
    for (size_t i = 0; i < n; i++)
        rg_cli_show_problem(cli, json_array_get(errors, i), "");
    show_listing(code);
}

/* ---- calls ---- */

static bool ask(struct rg_cli *cli, const char *method, const char *path, const json_t *body,
                struct rg_client_answer *ret)
{
    char whole[RG_CLI_PATH_MAX + sizeof(RG_CLIENT_API)];
    snprintf(whole, sizeof(whole), RG_CLIENT_API "%s", path);
    return rg_client_call(&cli->client, method, whole, body, ret) == 0;
}

static enum rg_cli_status complain_of_trouble(const struct rg_cli *cli, const char *what)
{
    rg_cli_complain("can't %s: the platform %s", what, cli->client.trouble);
    return RG_CLI_FAILED;
}

static enum rg_cli_status take_body(struct rg_cli *cli, const char *what, struct rg_client_answer *a, json_t **ret)
{
    if (a->len > 0 && !a->json) {
        rg_cli_complain("can't %s: %s answered %ld with what is no JSON; is this the platform's address?", what,
                        cli->client.config.url, a->status);
        return RG_CLI_FAILED;
    }
    if (ret)
        *ret = a->json ? json_incref(a->json) : json_null();
    return RG_CLI_DONE;
}

/* Takes the answer over. */
static enum rg_cli_status finish(struct rg_cli *cli, const char *what, struct rg_client_answer *a, json_t **ret)
{
    enum rg_cli_status s = RG_CLI_FAILED;
    if (a->status >= 200 && a->status < 300)
        s = take_body(cli, what, a, ret);
    else
        rg_cli_complain_of_answer(cli, what, a);
    rg_client_answer_fini(a);
    return s;
}

enum rg_cli_status rg_cli_call(struct rg_cli *cli, const char *what, const char *method, const char *path,
                               const json_t *body, json_t **ret)
{
    struct rg_client_answer a;
    return ask(cli, method, path, body, &a) ? finish(cli, what, &a, ret) : complain_of_trouble(cli, what);
}

enum rg_cli_status rg_cli_find(struct rg_cli *cli, const char *what, const char *path, json_t **ret)
{
    struct rg_client_answer a;
    *ret = NULL;
    if (!ask(cli, "GET", path, NULL, &a))
        return complain_of_trouble(cli, what);
    if (a.status != 404 || !rg_cli_text(a.json, "code")[0])
        return finish(cli, what, &a, ret);
    rg_client_answer_fini(&a);
    return RG_CLI_DONE;
}

static bool is_busy(long status)
{
    return status == 429 || (status >= 502 && status <= 504);
}

enum rg_cli_status rg_cli_poll(struct rg_cli *cli, const char *what, const char *path, json_t **ret, bool *ret_later)
{
    struct rg_client_answer a;
    *ret = NULL;
    *ret_later = !ask(cli, "GET", path, NULL, &a);
    if (*ret_later)
        return RG_CLI_DONE;
    *ret_later = is_busy(a.status);
    if (!*ret_later)
        return finish(cli, what, &a, ret);
    snprintf(cli->client.trouble, sizeof(cli->client.trouble), "answered %ld: it is busy", a.status);
    rg_client_answer_fini(&a);
    return RG_CLI_DONE;
}

/* One page appended; *ret_more says whether another may follow. */
static enum rg_cli_status append_page(struct rg_cli *cli, const char *what, const char *path, json_t *all,
                                      bool *ret_more)
{
    char page[RG_CLI_PATH_MAX];
    json_t *answer = NULL;
    snprintf(page, sizeof(page), "%s%climit=%d&offset=%zu", path, strchr(path, '?') ? '&' : '?', PAGE,
             json_array_size(all));
    enum rg_cli_status s = rg_cli_call(cli, what, "GET", page, NULL, &answer);
    if (s != RG_CLI_DONE)
        return s;
    json_t *list = json_is_array(answer) ? answer : json_object_get(answer, "list");
    json_int_t total = json_integer_value(json_object_get(json_object_get(answer, "pagination"), "total"));
    json_array_extend(all, list);
    *ret_more = json_array_size(list) > 0 && (json_int_t)json_array_size(all) < total;
    json_decref(answer);
    if (!*ret_more || json_array_size(all) < LIST_MAX)
        return RG_CLI_DONE;
    rg_cli_complain("can't %s: the platform lists %lld of them, at most %d can be read", what, (long long)total,
                    LIST_MAX);
    return RG_CLI_FAILED;
}

enum rg_cli_status rg_cli_list(struct rg_cli *cli, const char *what, const char *path, json_t **ret)
{
    json_t *all = json_array();
    bool more = true;
    enum rg_cli_status s = RG_CLI_DONE;
    while (s == RG_CLI_DONE && more)
        s = append_page(cli, what, path, all, &more);
    if (s == RG_CLI_DONE)
        *ret = all;
    else
        json_decref(all);
    return s;
}
