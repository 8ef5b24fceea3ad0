/* The OpenAPI document of the public API, made of the routes and the rows of their bodies. Thread: any. */
#ifndef RG_PLATFORM_OPENAPI_H
#define RG_PLATFORM_OPENAPI_H

#include <stddef.h>

char *rg_openapi_write(size_t *ret_len); /* YAML, of malloc; NULL: no memory */

#endif
