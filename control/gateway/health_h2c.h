/*
 * One probe over HTTP/2 in the clear: a connection with a single request. What comes is written down as the text of an
 * answer of HTTP/1 (http/h2_head.h), so that it is read and judged like any other.
 *
 * Ownership: the prober's, for one probe; the text goes into the prober's buffer. Thread: the control thread. No I/O
 * but the send that it is asked for.
 */
#ifndef RG_GATEWAY_HEALTH_H2C_H
#define RG_GATEWAY_HEALTH_H2C_H

#include <stdbool.h>
#include <stddef.h>

struct rg_probe_h2c;

/* The request for path is ready to be sent. input: room for the text. NULL: no memory. */
struct rg_probe_h2c *rg_probe_h2c_create(const char *authority, const char *path, char *input, size_t input_cap);
void rg_probe_h2c_destroy(struct rg_probe_h2c *h);

/* Sends what is to be sent. 1: all of it; 0: the socket takes no more now; negative errno. */
int rg_probe_h2c_send(struct rg_probe_h2c *h, int fd);
/* What is to be said to it is sent next. */
void rg_probe_h2c_receive(struct rg_probe_h2c *h, const void *bytes, size_t n);
/* NULL: none. Else this is not HTTP/2, or the answer is malformed. */
const char *rg_probe_h2c_fault(const struct rg_probe_h2c *h);
size_t rg_probe_h2c_text_len(const struct rg_probe_h2c *h);
bool rg_probe_h2c_is_complete(const struct rg_probe_h2c *h);

#endif
