/* Artifacts on their way to a gateway: what comes in, what goes out, and what is never shown. Keys and secrets with
 * them. */
#include <archive.h>
#include <archive_entry.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>

#include "control/common/yaml_json.h"
#include "store_fixture.h"

/* ---- Archives ---- */

static json_t *yaml_of(const char *text, size_t len)
{
    struct rg_yaml_json document;
    struct rg_problems problems;
    rg_problems_init(&problems);
    assert_int_equal(rg_yaml_json((struct rg_str){text, len}, 1 << 20, &document, &problems), 0);
    rg_problems_fini(&problems);
    json_t *value = json_incref(document.value);
    rg_yaml_json_fini(&document);
    return value;
}

/* The document in the answer, which is a zip with this one file. */
static json_t *unzip(struct fixture *f, const char *wanted_name)
{
    zip_error_t error;
    char text[65536];
    zip_error_init(&error);
    zip_source_t *source = zip_source_buffer_create(f->bytes, f->n_bytes, 0, &error);
    zip_t *zip = zip_open_from_source(source, ZIP_RDONLY, &error);
    assert_non_null(zip);
    assert_int_equal(zip_get_num_entries(zip, 0), 1);
    assert_string_equal(zip_get_name(zip, 0, 0), wanted_name);
    zip_file_t *file = zip_fopen_index(zip, 0, 0);
    zip_int64_t n = zip_fread(file, text, sizeof(text));
    assert_true(n > 0);
    zip_fclose(file);
    zip_close(zip);
    zip_error_fini(&error);
    return yaml_of(text, (size_t)n);
}

static json_t *fetch(struct fixture *f, const char *segment, const char *file, const char *uuid)
{
    char name[128];
    assert_int_equal(callf(f, "GET", NULL, INTERNAL "/%s/%s", segment, uuid), 200);
    snprintf(name, sizeof(name), "%s-%s.yaml", file, uuid);
    return unzip(f, name);
}

static char *uuid_of(struct fixture *f, const char *path)
{
    assert_int_equal(call(f, "GET", path, NULL), 200);
    return strdup(got(f, "uuid"));
}

static void deploy_kind(struct fixture *f, const char *collection, const char *id, const char *body)
{
    if (callf(f, "POST", body, API "/%s/%s/deployments", collection, id) != 201)
        fail_msg("%s", body_bytes(f));
}

/* The newest deployment. */
static unsigned undeploy_kind(struct fixture *f, const char *collection, const char *id)
{
    callf(f, "GET", NULL, API "/%s/%s/deployments", collection, id);
    char *deployment = strdup(got(f, "list.0.deploymentId"));
    unsigned status = callf(f, "POST", NULL, API "/%s/%s/deployments/%s/undeploy", collection, id, deployment);
    free(deployment);
    return status;
}

/* ---- REST APIs ---- */

static const char rich[] =
    "{\"id\":\"orders\",\"displayName\":\"Orders\",\"context\":\"/orders/$version\",\"version\":\"v2.1\","
    "\"projectId\":\"default\",\"labels\":{\"team\":\"shop\"},\"upstream\":{\"main\":{\"url\":\"http://"
    "10.0.0.5:8080\"}},"
    "\"policies\":[{\"name\":\"basic-auth\",\"version\":\"v1\",\"params\":{\"username\":\"u\",\"password\":\"hunter2\"}"
    "}],"
    "\"operations\":[{\"name\":\"one\",\"request\":{\"method\":\"GET\",\"path\":\"/items/{id}\",\"policies\":[]}},"
    "{\"method\":\"POST\",\"path\":\"/items\"}],\"transport\":[\"http\"]}";

static void test_rest_api(void **state)
{
    struct fixture *f = *state;
    char *token = make_gateway(f, "edge-1");
    assert_int_equal(call(f, "POST", API "/rest-apis", rich), 201);
    assert_string_equal(got(f, "policies.0.params.password"), "******");
    assert_string_equal(got(f, "projectId"), "default");
    char *shown = strdup(body_bytes(f)), *uuid = strdup(got(f, "uuid"));
    assert_int_equal(call(f, "PUT", API "/rest-apis/orders", shown), 200); /* what is not shown is kept */
    deploy_kind(f, "rest-apis", "orders",
                "{\"gatewayId\":\"edge-1\",\"name\":\"rev-1\",\"metadata\":{\"endpointUrl\":\"http://127.0.0.1:9001\","
                "\"vhostMain\":\"api.example.com\"}}");
    assert_string_equal(got(f, "name"), "rev-1");
    assert_string_equal(got(f, "metadata.vhostMain"), "api.example.com");
    f->api_key = token;
    json_t *yaml = fetch(f, "apis", "api", uuid);
    assert_string_equal(text_of(yaml, "apiVersion"), "gateway.api-platform.wso2.com/v1");
    assert_string_equal(text_of(yaml, "kind"), "RestApi");
    assert_string_equal(text_of(yaml, "metadata.name"), "orders");
    assert_string_equal(text_of(yaml, "metadata.labels.team"), "shop");
    assert_string_equal(text_of(yaml, "metadata.labels.project-id"), "default");
    assert_string_equal(text_of(yaml, "spec.version"), "v2.1");
    assert_string_equal(text_of(yaml, "spec.upstream.main.url"), "http://127.0.0.1:9001");
    assert_string_equal(text_of(yaml, "spec.vhosts.main"), "api.example.com");
    assert_string_equal(text_of(yaml, "spec.operations.0.path"), "/items/{id}");
    assert_string_equal(text_of(yaml, "spec.operations.1.method"), "POST");
    assert_string_equal(text_of(yaml, "spec.policies.0.params.password"), "hunter2");
    json_decref(yaml);
    free(shown);
    free(uuid);
    free(token);
}

/* An earlier deployment is what it was, whatever became of the artifact. */
static void test_base(void **state)
{
    struct fixture *f = *state;
    char body[256];
    char *token = make_gateway(f, "edge-1");
    make_api(f, "hello");
    char *uuid = uuid_of(f, API "/rest-apis/hello");
    char *first = deploy(f, "hello", "edge-1");
    assert_int_equal(call(f, "PUT", API "/rest-apis/hello",
                          "{\"displayName\":\"Changed\",\"context\":\"/x\",\"version\":\"v1.0\",\"upstream\":{\"main\":"
                          "{\"url\":\"http://127.0.0.1:9999\"}},\"operations\":[{\"method\":\"GET\",\"path\":\"/\"}]}"),
                     200);
    f->api_key = token;
    json_t *yaml = fetch(f, "apis", "api", uuid);
    assert_string_equal(text_of(yaml, "spec.displayName"), "Hello"); /* not deployed yet */
    json_decref(yaml);
    free(deploy(f, "hello", "edge-1"));
    yaml = fetch(f, "apis", "api", uuid);
    assert_string_equal(text_of(yaml, "spec.displayName"), "Changed");
    json_decref(yaml);
    snprintf(body, sizeof(body),
             "{\"gatewayId\":\"edge-1\",\"base\":\"%s\",\"metadata\":{\"vhostMain\":\"b.example.com\"}}", first);
    deploy_kind(f, "rest-apis", "hello", body);
    assert_string_equal(got(f, "baseDeploymentId"), first);
    yaml = fetch(f, "apis", "api", uuid);
    assert_string_equal(text_of(yaml, "spec.displayName"), "Hello");
    assert_string_equal(text_of(yaml, "spec.vhosts.main"), "b.example.com");
    json_decref(yaml);
    free(first);
    free(uuid);
    free(token);
}

/* ---- Many at once ---- */

/* Two members, each below the id of its deployment. */
static void assert_archive_of(const struct fixture *f, const char *hello, const char *bye)
{
    struct archive *a = archive_read_new();
    struct archive_entry *entry;
    char text[8192];
    size_t n = 0;
    archive_read_support_filter_gzip(a);
    archive_read_support_format_tar(a);
    assert_int_equal(archive_read_open_memory(a, f->bytes, f->n_bytes), ARCHIVE_OK);
    while (archive_read_next_header(a, &entry) == ARCHIVE_OK) {
        const char *wanted = n == 0 ? hello : bye;
        assert_memory_equal(archive_entry_pathname(entry), wanted, strlen(wanted));
        assert_non_null(strstr(archive_entry_pathname(entry), "/api-"));
        la_ssize_t len = archive_read_data(a, text, sizeof(text));
        assert_true(len > 0);
        json_t *yaml = yaml_of(text, (size_t)len);
        assert_string_equal(text_of(yaml, "metadata.name"), n == 0 ? "hello" : "bye");
        json_decref(yaml);
        n++;
    }
    archive_read_free(a);
    assert_int_equal(n, 2);
}

static void test_batch(void **state)
{
    struct fixture *f = *state;
    char body[512];
    char *token = make_gateway(f, "edge-1"), *other = make_gateway(f, "edge-2");
    make_api(f, "hello");
    make_api(f, "bye");
    char *one = deploy(f, "hello", "edge-1"), *two = deploy(f, "bye", "edge-1"), *theirs = deploy(f, "bye", "edge-2");
    f->api_key = token;
    f->accept = "application/zip";
    snprintf(body, sizeof(body), "{\"deploymentIds\":[\"%s\",\"%s\",\"%s\",\"nope\"]}", one, two, theirs);
    assert_int_equal(call(f, "POST", INTERNAL "/deployments/fetch-batch", body), 406);
    f->accept = "application/x-tar+gzip";
    assert_int_equal(call(f, "POST", INTERNAL "/deployments/fetch-batch", body), 200);
    assert_archive_of(f, one, two); /* neither another gateway's nor one that there isn't */
    assert_int_equal(call(f, "POST", INTERNAL "/deployments/fetch-batch", "{\"deploymentIds\":\"x\"}"), 400);
    assert_int_equal(call(f, "POST", INTERNAL "/deployments/fetch-batch", "{\"deploymentIds\":[]}"), 200);
    free(one);
    free(two);
    free(theirs);
    free(token);
    free(other);
}

/* What a gateway asks for at each connect. */
static void test_what_there_is(void **state)
{
    struct fixture *f = *state;
    char body[512];
    char *token = make_gateway(f, "edge-1");
    make_api(f, "hello");
    make_api(f, "bye");
    free(deploy(f, "hello", "edge-1"));
    free(deploy(f, "bye", "edge-1"));
    f->api_key = token;
    char *uuid = uuid_of(f, API "/rest-apis/hello");
    snprintf(body, sizeof(body), "{\"artifactIds\":[\"%s\",\"b\"]}", uuid);
    assert_int_equal(call(f, "POST", INTERNAL "/artifacts/exists", body), 200);
    assert_true(json_is_true(json_object_get(json_array_get(json_object_get(f->body, "artifacts"), 0), "exists")));
    assert_true(json_is_false(json_object_get(json_array_get(json_object_get(f->body, "artifacts"), 1), "exists")));
    assert_int_equal(call(f, "GET", INTERNAL "/deployments", NULL), 200);
    assert_int_equal(json_array_size(json_object_get(f->body, "deployments")), 2);
    char *etag = strdup(got(f, "deployments.0.etag"));
    assert_int_equal(call(f, "GET", INTERNAL "/deployments", NULL), 200);
    assert_string_equal(got(f, "deployments.0.etag"), etag); /* the same for the same */
    assert_int_equal(call(f, "GET", INTERNAL "/deployments?since=2030-01-01T00:00:00Z", NULL), 200);
    assert_int_equal(json_array_size(json_object_get(f->body, "deployments")), 0);
    assert_int_equal(call(f, "GET", INTERNAL "/deployments?since=now", NULL), 400);
    assert_int_equal(callf(f, "GET", NULL, INTERNAL "/llm-providers/%s", uuid), 404);
    assert_int_equal(call(f, "GET", INTERNAL "/subscription-plans", NULL), 200);
    assert_string_equal(body_bytes(f), "[]");
    free(etag);
    free(uuid);
    free(token);
}

static void test_artifact_deleted(void **state)
{
    struct fixture *f = *state;
    char *token = make_gateway(f, "edge-1"), *other = make_gateway(f, "edge-2");
    make_api(f, "hello");
    free(deploy(f, "hello", "edge-1"));
    char *uuid = uuid_of(f, API "/rest-apis/hello");
    f->api_key = token;
    fixture_forget(f);
    assert_int_equal(call(f, "DELETE", API "/rest-apis/hello", NULL), 204);
    assert_int_equal(count_effects(f, RG_EFFECT_SEND), 2); /* every gateway hears of it */
    json_t *event = effect_json(f, RG_EFFECT_SEND, 0);
    assert_string_equal(text_of(event, "type"), "api.deleted");
    assert_string_equal(text_of(event, "payload.apiId"), uuid);
    json_decref(event);
    assert_int_equal(callf(f, "GET", NULL, INTERNAL "/apis/%s", uuid), 404);
    free(uuid);
    free(token);
    free(other);
}

/* ---- LLM kinds ---- */

#define PROVIDER                                                                                       \
    "{\"id\":\"openai-main\",\"displayName\":\"OpenAI\",\"version\":\"v1.0\",\"context\":\"/openai\"," \
    "\"template\":\"openai\",\"upstream\":{\"main\":{\"url\":\"https://api.openai.com/v1\",\"auth\":"  \
    "{\"type\":\"api-key\",\"header\":\"Authorization\",\"value\":\"Bearer sk-123456\"}}},"            \
    "\"security\":{\"enabled\":true,\"apiKey\":{\"enabled\":true,\"key\":\"X-API-Key\",\"in\":\"header\"}}}"

static void test_templates(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(call(f, "GET", API "/llm-provider-templates", NULL), 200);
    assert_int_equal(json_array_size(json_object_get(f->body, "list")), 7);
    assert_int_equal(call(f, "GET", API "/llm-provider-templates/gemini", NULL), 200);
    assert_string_equal(got(f, "managedBy"), "wso2");
    assert_string_equal(got(f, "requestModel.location"), "pathParam");
    assert_int_equal(call(f, "DELETE", API "/llm-provider-templates/gemini", NULL), 403);
}

static void test_provider(void **state)
{
    struct fixture *f = *state;
    char *token = make_gateway(f, "edge-1");
    assert_int_equal(call(f, "POST", API "/llm-providers",
                          "{\"displayName\":\"x\",\"version\":\"v1.0\",\"template\":"
                          "\"nope\",\"upstream\":{\"url\":\"http://a\"}}"),
                     400);
    assert_string_equal(got(f, "errors.0.field"), "template");
    assert_int_equal(call(f, "POST", API "/llm-providers", PROVIDER), 201);
    assert_string_equal(got(f, "upstream.main.auth.value"), "******");
    char *uuid = strdup(got(f, "uuid")), *shown = strdup(body_bytes(f));
    assert_int_equal(call(f, "PUT", API "/llm-providers/openai-main", shown), 200);
    deploy_kind(f, "llm-providers", "openai-main", "{\"gatewayId\":\"edge-1\"}");
    json_t *event = effect_json(f, RG_EFFECT_SEND, 0);
    assert_string_equal(text_of(event, "type"), "llmprovider.deployed");
    assert_string_equal(text_of(event, "payload.providerId"), uuid);
    json_decref(event);
    f->api_key = token;
    json_t *yaml = fetch(f, "llm-providers", "llm-provider", uuid);
    assert_string_equal(text_of(yaml, "spec.upstream.auth.value"), "Bearer sk-123456");
    assert_string_equal(text_of(yaml, "spec.accessControl.mode"), "allow_all");
    assert_string_equal(text_of(yaml, "spec.globalPolicies.0.name"), "api-key-auth");
    assert_string_equal(text_of(yaml, "spec.globalPolicies.0.params.key"), "X-API-Key");
    json_decref(yaml);
    free(uuid);
    free(shown);
    free(token);
}

/* A proxy and the provider that it needs. */
static void test_proxy(void **state)
{
    struct fixture *f = *state;
    char *token = make_gateway(f, "edge-1");
    assert_int_equal(call(f, "POST", API "/llm-providers", PROVIDER), 201);
    deploy_kind(f, "llm-providers", "openai-main", "{\"gatewayId\":\"edge-1\"}");
    f->api_key = token;
    assert_int_equal(call(f, "POST", API "/llm-proxies",
                          "{\"displayName\":\"Chat\",\"version\":\"v1.0\",\"context\":"
                          "\"/chat\",\"provider\":{\"id\":\"nope\"}}"),
                     400);
    assert_int_equal(call(f, "POST", API "/llm-proxies",
                          "{\"displayName\":\"Chat\",\"version\":\"v1.0\",\"context\":"
                          "\"/chat\",\"provider\":\"openai-main\"}"),
                     201);
    assert_string_equal(got(f, "id"), "chat");
    char *uuid = strdup(got(f, "uuid"));
    deploy_kind(f, "llm-proxies", "chat", "{\"gatewayId\":\"edge-1\"}");
    json_t *yaml = fetch(f, "llm-proxies", "llm-proxy", uuid);
    assert_string_equal(text_of(yaml, "spec.provider.id"), "openai-main");
    json_decref(yaml);
    assert_int_equal(call(f, "DELETE", API "/llm-providers/openai-main", NULL), 409);
    assert_string_equal(got(f, "code"), "ARTIFACT_IN_USE");
    assert_int_equal(call(f, "GET", INTERNAL "/deployments", NULL), 200);
    assert_string_equal(got(f, "deployments.0.kind"), "LlmProvider");
    assert_string_equal(got(f, "deployments.1.kind"), "LlmProxy");
    assert_int_equal(undeploy_kind(f, "llm-providers", "openai-main"), 409);
    assert_string_equal(got(f, "code"), "ARTIFACT_IN_USE");
    assert_non_null(strstr(got(f, "message"), "\"chat\""));
    assert_int_equal(undeploy_kind(f, "llm-proxies", "chat"), 200);
    assert_int_equal(undeploy_kind(f, "llm-providers", "openai-main"), 200);
    free(uuid);
    free(token);
}

/* ---- Keys ---- */

static void test_keys(void **state)
{
    struct fixture *f = *state;
    char *token = make_gateway(f, "edge-1");
    make_api(f, "hello");
    char *uuid = uuid_of(f, API "/rest-apis/hello");
    assert_int_equal(call(f, "POST", API "/rest-apis/hello/api-keys", "{\"name\":\"ci-key\"}"), 201);
    char *key = strdup(got(f, "apiKey"));
    assert_string_equal(got(f, "maskedApiKey") + 3, key + strlen(key) - 5);
    assert_int_equal(call(f, "POST", API "/rest-apis/hello/api-keys", "{\"name\":\"ci-key\"}"), 409);
    assert_int_equal(call(f, "POST", API "/rest-apis/hello/api-keys", "{\"name\":\"k\",\"apiKey\":\"short\"}"), 400);
    assert_int_equal(call(f, "POST", API "/rest-apis/hello/api-keys",
                          "{\"name\":\"old\",\"apiKey\":\"0123456789abcdef\",\"expiresAt\":\"2026-08-23T09:15:05Z\"}"),
                     201);
    assert_null(json_object_get(f->body, "apiKey"));       /* who gave it has it */
    assert_int_equal(count_effects(f, RG_EFFECT_SEND), 0); /* nobody has the API yet */
    f->now_ms += 60000;                                    /* the old one has expired */
    free(deploy(f, "hello", "edge-1"));
    assert_int_equal(count_effects(f, RG_EFFECT_SEND), 2);
    json_t *event = effect_json(f, RG_EFFECT_SEND, 1);
    assert_string_equal(text_of(event, "type"), "apikey.created");
    assert_string_equal(text_of(event, "payload.apiId"), uuid);
    assert_string_equal(text_of(event, "payload.name"), "ci-key");
    assert_string_equal(text_of(event, "userId"), "admin");
    json_t *hashes = json_loads(text_of(event, "payload.apiKeyHashes"), 0, NULL); /* a text in a text */
    char sha256[RG_SHA256_LEN + 1];
    rg_sha256_hex(sha256, rg_str_of(key));
    assert_string_equal(text_of(hashes, "sha256"), sha256);
    json_decref(hashes);
    json_decref(event);
    f->api_key = token;
    assert_int_equal(call(f, "GET", INTERNAL "/apis/api-keys", NULL), 200);
    assert_int_equal(json_array_size(f->body), 1);
    assert_string_equal(got(f, "0.apiKeyHashes.sha256"), sha256);
    assert_string_equal(got(f, "0.artifactUuid"), uuid);
    assert_null(strstr(body_bytes(f), key));
    free(key);
    free(uuid);
    free(token);
}

/* Gateways that have the artifact hear of each change. */
static void test_keys_change(void **state)
{
    struct fixture *f = *state;
    char *token = make_gateway(f, "edge-1");
    make_api(f, "hello");
    free(deploy(f, "hello", "edge-1"));
    assert_int_equal(call(f, "POST", API "/rest-apis/hello/api-keys", "{\"name\":\"ci-key\"}"), 201);
    char *key = strdup(got(f, "apiKey"));
    f->api_key = token;
    fixture_forget(f);
    assert_int_equal(call(f, "PUT", API "/rest-apis/hello/api-keys/ci-key", "{\"name\":\"ci-key\"}"), 200);
    assert_string_not_equal(got(f, "apiKey"), key);
    json_t *event = effect_json(f, RG_EFFECT_SEND, 0);
    assert_string_equal(text_of(event, "type"), "apikey.updated");
    assert_string_equal(text_of(event, "payload.keyName"), "ci-key");
    json_decref(event);
    fixture_forget(f);
    assert_int_equal(call(f, "DELETE", API "/rest-apis/hello/api-keys/ci-key", NULL), 204);
    event = effect_json(f, RG_EFFECT_SEND, 0);
    assert_string_equal(text_of(event, "type"), "apikey.revoked");
    json_decref(event);
    assert_int_equal(call(f, "DELETE", API "/rest-apis/hello/api-keys/ci-key", NULL), 404);
    assert_int_equal(call(f, "GET", INTERNAL "/apis/api-keys", NULL), 200);
    assert_int_equal(json_array_size(f->body), 0);
    free(key);
    free(token);
}

/* ---- Secrets ---- */

static void test_secrets(void **state)
{
    struct fixture *f = *state;
    char *token = make_gateway(f, "edge-1"), *other = make_gateway(f, "edge-2");
    assert_int_equal(
        call(f, "POST", API "/secrets", "{\"id\":\"openai-key\",\"displayName\":\"OpenAI\",\"value\":\"sk-secret\"}"),
        201);
    assert_null(strstr(body_bytes(f), "sk-secret"));
    assert_int_equal(call(f, "POST", API "/secrets", "{\"id\":\"unused\",\"displayName\":\"x\",\"value\":\"y\"}"), 201);
    f->api_key = token;
    assert_int_equal(call(f, "GET", INTERNAL "/secrets/openai-key/value", NULL), 404); /* nothing names it */
    assert_int_equal(
        call(f, "POST", API "/llm-providers",
             "{\"id\":\"p\",\"displayName\":\"P\",\"version\":\"v1.0\",\"template\":\"openai\","
             "\"upstream\":{\"url\":\"https://a\",\"auth\":{\"type\":\"api-key\",\"header\":\"Authorization\","
             "\"value\":\"Bearer {{ secret \\\"openai-key\\\" }}\"}}}"),
        201);
    assert_string_equal(got(f, "upstream.auth.value"), "Bearer {{ secret \"openai-key\" }}"); /* names one; is none */
    deploy_kind(f, "llm-providers", "p", "{\"gatewayId\":\"edge-1\"}");
    assert_int_equal(call(f, "GET", INTERNAL "/secrets/openai-key/value", NULL), 200);
    assert_string_equal(got(f, "value"), "sk-secret");
    assert_int_equal(call(f, "GET", INTERNAL "/secrets", NULL), 200);
    assert_int_equal(json_integer_value(json_object_get(f->body, "count")), 1);
    assert_null(strstr(body_bytes(f), "sk-secret"));
    assert_int_equal(call(f, "GET", INTERNAL "/secrets?includeValues=true", NULL), 200);
    assert_string_equal(got(f, "list.0.value"), "sk-secret");
    assert_int_equal(call(f, "GET", INTERNAL "/secrets/unused/value", NULL), 404);
    f->api_key = other;
    assert_int_equal(call(f, "GET", INTERNAL "/secrets/openai-key/value", NULL), 404);
    assert_int_equal(call(f, "DELETE", API "/secrets/openai-key", NULL), 409);
    assert_int_equal(call(f, "PUT", API "/secrets/openai-key", "{\"displayName\":\"x\",\"value\":\"sk-new\"}"), 200);
    f->api_key = token;
    assert_int_equal(call(f, "GET", INTERNAL "/secrets/openai-key/value", NULL), 200);
    assert_string_equal(got(f, "value"), "sk-new");
    assert_int_equal(call(f, "DELETE", API "/secrets/unused", NULL), 204);
    free(token);
    free(other);
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STORE(test_rest_api),
        WITH_STORE(test_base),
        WITH_STORE(test_batch),
        WITH_STORE(test_what_there_is),
        WITH_STORE(test_artifact_deleted),
        WITH_STORE(test_templates),
        WITH_STORE(test_provider),
        WITH_STORE(test_proxy),
        WITH_STORE(test_keys),
        WITH_STORE(test_keys_change),
        WITH_STORE(test_secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
