/* See openapi.h. */
#include "control/platform/openapi.h"

#include <jansson.h>
#include <stdio.h>

#include "control/common/params_schema.h"
#include "control/common/yaml_write.h"
#include "control/platform/answer.h"
#include "control/platform/routes.h"
#include "control/platform/schemas.h"

/* ---- Schemas of rows ---- */

static json_t *object_schema(const struct rg_param *rows)
{
    static const struct rg_params_schema how = {.read_only = RG_READ_ONLY};
    return rg_params_schema(rows, &how);
}

/* ---- Operations ---- */

static json_t *content(const char *media, json_t *schema)
{
    return json_pack("{s:{s:o}}", media, "schema", schema);
}

static json_t *list_schema(json_t *item)
{
    return json_pack("{s:s, s:{s:{s:s}, s:{s:s, s:o}, s:{s:s, s:{s:{s:s}, s:{s:s}, s:{s:s}}}}}", "type", "object",
                     "properties", "count", "type", "integer", "list", "type", "array", "items", item, "pagination",
                     "type", "object", "properties", "total", "type", "integer", "offset", "type", "integer", "limit",
                     "type", "integer");
}

static json_t *responses_of(const struct rg_route *route)
{
    char status[4];
    snprintf(status, sizeof(status), "%u", route->success % 1000);
    json_t *good = json_pack("{s:s}", "description", "Done.");
    if (route->media)
        json_object_set_new(good, "content", content(route->media, json_pack("{s:s}", "type", "string")));
    else if (route->answer) {
        json_t *schema = object_schema(route->answer);
        json_object_set_new(good, "content", content("application/json", route->list ? list_schema(schema) : schema));
    }
    json_t *bad = json_pack("{s:s, s:o}", "description", "Refused, or failed; nothing was changed.", "content",
                            content("application/json", json_pack("{s:s}", "$ref", "#/components/schemas/Error")));
    return json_pack("{s:o, s:o}", status, good, "default", bad);
}

static void add_parameter(json_t *list, const char *name, size_t len, const char *in, bool required)
{
    json_array_append_new(list, json_pack("{s:s%, s:s, s:b, s:{s:s}}", "name", name, len, "in", in, "required",
                                          required, "schema", "type", "string"));
}

static json_t *parameters_of(const struct rg_route *route)
{
    json_t *list = json_array();
    for (const char *at = strchr(route->pattern, '{'); at; at = strchr(at + 1, '{'))
        add_parameter(list, at + 1, strcspn(at + 1, "}"), "path", true);
    if (route->list) {
        add_parameter(list, "limit", 5, "query", false);
        add_parameter(list, "offset", 6, "query", false);
    }
    for (const char *const *name = route->query; name && *name; name++)
        add_parameter(list, *name, strlen(*name), "query", false);
    return list;
}

static json_t *operation_of(const struct rg_route *route)
{
    json_t *operation = json_pack("{s:s, s:o}", "summary", route->summary, "responses", responses_of(route));
    json_t *parameters = parameters_of(route);
    if (json_array_size(parameters))
        json_object_set(operation, "parameters", parameters);
    json_decref(parameters);
    if (route->body)
        json_object_set_new(
            operation, "requestBody",
            json_pack("{s:b, s:o}", "required", 1, "content", content("application/json", object_schema(route->body))));
    if (route->scope == RG_SCOPE_NONE)
        json_object_set_new(operation, "security", json_array());
    return operation;
}

/* ---- The document ---- */

static json_t *paths(void)
{
    json_t *all = json_object();
    for (size_t i = 0; i < rg_public_routes.count; i++) {
        const struct rg_route *route = &rg_public_routes.routes[i];
        char method[8] = "";
        for (size_t c = 0; route->method[c] && c < sizeof(method) - 1; c++)
            method[c] = rg_lower(route->method[c]);
        json_t *path = json_object_get(all, route->pattern);
        if (!path) {
            path = json_object();
            json_object_set_new(all, route->pattern, path);
        }
        json_object_set_new(path, method, operation_of(route));
    }
    return all;
}

static json_t *error_schema(void)
{
    return json_pack("{s:s, s:[s, s, s], s:{s:{s:s}, s:{s:s}, s:{s:s}, s:{s:s, s:{s:s, s:{s:{s:s}, s:{s:s}}}},"
                     " s:{s:s}}}",
                     "type", "object", "required", "status", "code", "message", "properties", "status", "type",
                     "string", "code", "type", "string", "message", "type", "string", "errors", "type", "array",
                     "items", "type", "object", "properties", "field", "type", "string", "message", "type", "string",
                     "trackingId", "type", "string");
}

char *rg_openapi_write(size_t *ret_len)
{
    char *text = NULL;
    json_t *document = json_pack("{s:s, s:{s:s, s:s, s:s}, s:[{s:s}], s:[{s:[]}], s:o, s:{s:{s:{s:s, s:s}}, s:{s:o}}}",
                                 "openapi", "3.0.3", "info", "title", "ringgate platform", "version", RG_VERSION,
                                 "description", "Gateways, APIs and their deployments.", "servers", "url",
                                 RG_API_PUBLIC, "security", "bearer", "paths", paths(), "components", "securitySchemes",
                                 "bearer", "type", "http", "scheme", "bearer", "schemas", "Error", error_schema());
    int rc = document ? rg_yaml_write(document, &text, ret_len) : -1;
    json_decref(document);
    return rc ? NULL : text;
}
