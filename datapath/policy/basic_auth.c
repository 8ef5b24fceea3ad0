/*
 * basic-auth: lets in who knows one user name and its password (RFC 7617). What the client sends is compared encoded,
 * as it stands in Authorization, by its hash: in the same time whatever is wrong with it.
 */
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>

#include "datapath/policy/digest.h"
#include "datapath/policy/kinds.h"
#include "datapath/policy/unauthorized.h"
#include "datapath/policy/view.h"

struct params {
    struct rg_str username, password, realm;
    bool allow_unauthenticated;
};

static const struct rg_param params_table[] = {{.name = "username",
                                                .type = RG_PARAM_STRING,
                                                .offset = offsetof(struct params, username),
                                                .required = true,
                                                .not_empty = true,
                                                .help = "The user's name, without a colon."},
                                               {.name = "password",
                                                .type = RG_PARAM_STRING,
                                                .offset = offsetof(struct params, password),
                                                .required = true,
                                                .not_empty = true,
                                                .help = "The password; better a `{{ secret }}` than the text itself."},
                                               {.name = "realm",
                                                .type = RG_PARAM_STRING,
                                                .offset = offsetof(struct params, realm),
                                                .not_empty = true,
                                                .initial = "\"Restricted\"",
                                                .help = "What the client is told to ask the user for."},
                                               {.name = "allowUnauthenticated",
                                                .type = RG_PARAM_BOOL,
                                                .offset = offsetof(struct params, allow_unauthenticated),
                                                .help = "Lets requests without valid credentials pass as well."},
                                               {0}};

struct self {
    uint8_t expected[RG_DIGEST_LEN];
    struct rg_policy_unauthorized unauthorized;
    bool allow_unauthenticated;
};

#define TEXT_MAX 256

static int hash_credentials(struct self *s, const struct params *p)
{
    unsigned char plain[2 * TEXT_MAX + 2], encoded[4 * (sizeof plain / 3 + 1) + 1];
    size_t n = 0;
    memcpy(plain, p->username.ptr, p->username.len);
    n = p->username.len;
    plain[n++] = ':';
    memcpy(plain + n, p->password.ptr, p->password.len);
    n += p->password.len;
    int len = EVP_EncodeBlock(encoded, plain, (int)n);
    bool ok = rg_digest((struct rg_str){(char *)encoded, (size_t)len}, s->expected);
    explicit_bzero(plain, sizeof plain);
    explicit_bzero(encoded, sizeof encoded);
    return ok ? 0 : -ENOMEM;
}

static bool is_quotable(struct rg_str s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] < ' ' || s.ptr[i] == 0x7f || s.ptr[i] == '"' || s.ptr[i] == '\\')
            return false;
    return true;
}

static int prepare(void *self, const void *params, struct rg_policy_making *m)
{
    struct self *s = self;
    const struct params *p = params;
    char challenge[TEXT_MAX + 64];
    if (p->username.len > TEXT_MAX || memchr(p->username.ptr, ':', p->username.len))
        return rg_policy_refuse(m, "username", "wanted %d bytes at most, and no colon, which ends a user's name",
                                TEXT_MAX);
    if (p->password.len > TEXT_MAX)
        return rg_policy_refuse(m, "password", "wanted %d bytes at most", TEXT_MAX);
    if (p->realm.len > TEXT_MAX || !is_quotable(p->realm))
        return rg_policy_refuse(m, "realm", "wanted %d bytes at most, without quotes, backslashes and control bytes",
                                TEXT_MAX);
    s->allow_unauthenticated = p->allow_unauthenticated;
    int n = snprintf(challenge, sizeof challenge, "Basic realm=\"%.*s\", charset=\"UTF-8\"", (int)p->realm.len,
                     p->realm.ptr);
    int rc = rg_policy_unauthorized_make(m->arena, (struct rg_str){challenge, (size_t)n}, "Authentication required",
                                         &s->unauthorized);
    return rc == 0 ? hash_credentials(s, p) : rc;
}

static bool is_known(const struct self *s, const struct rg_policy_request *q)
{
    static const struct rg_policy_name authorization = RG_POLICY_NAME("authorization", RG_FIELD_AUTHORIZATION);
    const struct rg_field *f = rg_policy_find_field(&q->head, &authorization, NULL);
    uint8_t digest[RG_DIGEST_LEN];
    if (!f || rg_policy_find_field(&q->head, &authorization, f) || f->value_len < 6 ||
        !rg_str_eq_nocase((struct rg_str){f->value, 6}, RG_STR("basic ")))
        return false;
    struct rg_str text = {f->value + 6, f->value_len - 6};
    while (text.len > 0 && *text.ptr == ' ')
        text = (struct rg_str){text.ptr + 1, text.len - 1};
    return rg_digest(text, digest) && rg_digest_eq(digest, s->expected);
}

static enum rg_policy_verdict request(void *self, struct rg_policy_request *q, union rg_policy_state *state)
{
    const struct self *s = self;
    (void)state;
    if (is_known(s, q) || s->allow_unauthenticated)
        return RG_POLICY_NEXT;
    return rg_policy_unauthorized_answer(&s->unauthorized, q);
}

const struct rg_policy_kind rg_policy_basic_auth = {
    .name = "basic-auth",
    .version = "v1.0.3",
    .help = "Lets in only who knows the user name and the password.",
    .params = params_table,
    .params_size = sizeof(struct params),
    .size = sizeof(struct self),
    .guards = true,
    .prepare = prepare,
    .request = request,
};
