/* See state_file.h: the outer part of a file, then the JSON line of each kind of content. */
#include "control/agent/state_file.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>

#include "control/common/ids.h"

#define MAGIC      "ringgate-state"
#define HEAD_MAX   160
#define DEPLOYMENT "deployment"

/* ---- The outer part: version, content, checksum, length ---- */

/* The content is a line of JSON and what follows it. */
static int seal(const char *content, const char *line, struct rg_str rest, char **ret, size_t *ret_len)
{
    char head[HEAD_MAX], hex[RG_SHA256_LEN + 1];
    size_t line_len = strlen(line), body_len = line_len + 1 + rest.len;
    char *file = malloc(HEAD_MAX + body_len);
    if (!file)
        return -ENOMEM;
    char *body = file + HEAD_MAX; /* moved to its place when the head is known */
    memcpy(body, line, line_len);
    body[line_len] = '\n';
    if (rest.len > 0)
        memcpy(body + line_len + 1, rest.ptr, rest.len);
    rg_sha256_hex(hex, (struct rg_str){body, body_len});
    int head_len = snprintf(head, sizeof(head), MAGIC " %d %s %s %zu\n", RG_STATE_VERSION, content, hex, body_len);
    memmove(file + head_len, body, body_len);
    memcpy(file, head, (size_t)head_len);
    *ret = file;
    *ret_len = (size_t)head_len + body_len;
    return 0;
}

static int refuse(char *why, int error, const char *text)
{
    snprintf(why, RG_STATE_WHY_MAX, "%s", text);
    return error;
}

/* Up to the next space, which is skipped. */
static bool take_word(const char **rest, char *to, size_t size)
{
    size_t len = strcspn(*rest, " ");
    if (len == 0 || len >= size)
        return false;
    memcpy(to, *rest, len);
    to[len] = '\0';
    *rest += len + ((*rest)[len] == ' ');
    return true;
}

static bool take_number(const char **rest, unsigned long long *ret)
{
    char word[20], *end;
    if (!take_word(rest, word, sizeof(word)) || word[0] < '0' || word[0] > '9')
        return false;
    *ret = strtoull(word, &end, 10);
    return *end == '\0';
}

static int open_file(struct rg_str file, const char *content, struct rg_str *ret_body, char *why)
{
    char head[HEAD_MAX], found[32], hex[RG_SHA256_LEN + 1], wanted[RG_SHA256_LEN + 1];
    const char *line_end = file.len ? memchr(file.ptr, '\n', file.len < HEAD_MAX ? file.len : HEAD_MAX) : NULL;
    unsigned long long version = 0, length = 0;
    if (!line_end)
        return refuse(why, -EBADMSG, "its first line is cut off or none of ours");
    size_t head_len = (size_t)(line_end - file.ptr);
    memcpy(head, file.ptr, head_len);
    head[head_len] = '\0';
    const char *rest = head;
    bool ours = take_word(&rest, found, sizeof(found)) && strcmp(found, MAGIC) == 0 && take_number(&rest, &version);
    if (ours && version != RG_STATE_VERSION) {
        snprintf(why, RG_STATE_WHY_MAX, "it has version %llu, this program reads version %d", version,
                 RG_STATE_VERSION);
        return -ENOTSUP;
    }
    if (!ours || !take_word(&rest, found, sizeof(found)) || !take_word(&rest, hex, sizeof(hex)) ||
        !take_number(&rest, &length) || *rest != '\0')
        return refuse(why, -EBADMSG, "its first line is none of ours");
    if (strcmp(found, content) != 0)
        return refuse(why, -EBADMSG, "it holds something else than its name says");
    *ret_body = (struct rg_str){line_end + 1, file.len - head_len - 1};
    if (ret_body->len != length) {
        snprintf(why, RG_STATE_WHY_MAX, "it has %zu bytes after its first line, which promises %llu", ret_body->len,
                 length);
        return -EBADMSG;
    }
    rg_sha256_hex(wanted, *ret_body);
    if (strcmp(hex, wanted) != 0)
        return refuse(why, -EBADMSG, "its checksum does not match");
    return 0;
}

/* ---- JSON ---- */

static int encode(const char *content, const json_t *value, struct rg_str rest, char **ret, size_t *ret_len)
{
    char *line = value ? json_dumps(value, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
    if (!line)
        return -ENOMEM;
    int r = seal(content, line, rest, ret, ret_len);
    OPENSSL_cleanse(line, strlen(line)); /* it may have secrets */
    free(line);
    return r;
}

int rg_state_encode_json(const char *content, const json_t *value, char **ret, size_t *ret_len)
{
    return encode(content, value, RG_STR_NONE, ret, ret_len);
}

static int split(struct rg_str body, json_t **ret, struct rg_str *ret_rest, char *why)
{
    json_error_t error;
    const char *end = body.len ? memchr(body.ptr, '\n', body.len) : NULL;
    json_t *line = end ? json_loadb(body.ptr, (size_t)(end - body.ptr), 0, &error) : NULL;
    if (!line)
        return refuse(why, -EBADMSG, "its second line is no JSON");
    *ret = line;
    *ret_rest = (struct rg_str){end + 1, body.len - (size_t)(end + 1 - body.ptr)};
    return 0;
}

int rg_state_decode_json(struct rg_str file, const char *content, json_t **ret, char why[RG_STATE_WHY_MAX])
{
    struct rg_str body, rest;
    int r = open_file(file, content, &body, why);
    return r < 0 ? r : split(body, ret, &rest, why);
}

/* ---- Deployments ---- */

int rg_state_encode_deployment(const struct rg_state_deployment *d, char **ret, size_t *ret_len)
{
    json_t *meta =
        json_pack("{s:s, s:s, s:s, s:s, s:b}", "kind", rg_kind_info(d->kind)->name, "artifactId", d->artifact_id,
                  "deploymentId", d->deployment_id, "performedAt", d->performed_at, "deployed", d->deployed);
    int r = encode(DEPLOYMENT, meta, d->text, ret, ret_len);
    json_decref(meta);
    return r;
}

static bool take(const json_t *meta, const char *name, char *to, size_t size)
{
    const char *text = json_string_value(json_object_get(meta, name));
    return text && (size_t)snprintf(to, size, "%s", text) < size;
}

static int take_meta(const json_t *meta, struct rg_state_deployment *d, char *why)
{
    const char *kind = json_string_value(json_object_get(meta, "kind"));
    const json_t *deployed = json_object_get(meta, "deployed");
    if (!kind || !rg_kind_of(rg_str_of(kind), &d->kind))
        return refuse(why, -EBADMSG, "it is of no known kind");
    if (!take(meta, "artifactId", d->artifact_id, sizeof(d->artifact_id)) ||
        !take(meta, "deploymentId", d->deployment_id, sizeof(d->deployment_id)) ||
        !take(meta, "performedAt", d->performed_at, sizeof(d->performed_at)) ||
        !rg_id_is_valid(rg_str_of(d->artifact_id)) || !rg_id_is_valid(rg_str_of(d->deployment_id)) ||
        !rg_instant_parse(rg_str_of(d->performed_at), &d->performed_ns) || !json_is_boolean(deployed))
        return refuse(why, -EBADMSG, "its second line lacks something");
    d->deployed = json_is_true(deployed);
    return 0;
}

int rg_state_decode_deployment(struct rg_str file, struct rg_state_deployment *ret, char why[RG_STATE_WHY_MAX])
{
    struct rg_str body;
    struct rg_state_deployment d = {0};
    json_t *meta;
    int r = open_file(file, DEPLOYMENT, &body, why);
    if (r < 0)
        return r;
    r = split(body, &meta, &d.text, why);
    if (r < 0)
        return r;
    r = take_meta(meta, &d, why);
    json_decref(meta);
    if (r == 0)
        *ret = d;
    return r;
}
