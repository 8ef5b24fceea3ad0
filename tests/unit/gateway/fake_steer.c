#include "fake_steer.h"

#include <stdio.h>

struct fake_steer fake_steer;

int rg_steer_create(struct rg_steer **ret, enum rg_steer_mode mode, unsigned workers, unsigned groups, char *why,
                    size_t why_len)
{
    (void)mode;
    (void)workers;
    (void)groups;
    if (fake_steer.create_error) {
        snprintf(why, why_len, "not here");
        return fake_steer.create_error;
    }
    fake_steer.alive++;
    *ret = (struct rg_steer *)(void *)&fake_steer;
    return 0;
}

void rg_steer_destroy(struct rg_steer *s)
{
    if (s)
        fake_steer.alive--;
}

int rg_steer_add(struct rg_steer *s, unsigned group, unsigned worker, int fd)
{
    (void)s;
    (void)group;
    (void)worker;
    if (fake_steer.add_error)
        return fake_steer.add_error;
    fake_steer.added++;
    fake_steer.last_fd = fd;
    return 0;
}

struct rg_steer_worker *rg_steer_row(struct rg_steer *s, unsigned worker)
{
    (void)s;
    return &fake_steer.rows[worker];
}

uint64_t rg_steer_verdict_count(const struct rg_steer *s, enum rg_steer_verdict v)
{
    (void)s;
    return 100u + v;
}
