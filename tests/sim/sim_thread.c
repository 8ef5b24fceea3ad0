/*
 * The worker's thread in the simulated world: its life, played within the call that would start it. What makes a run is
 * in the script alone, and tens of thousands of them don't pay for a thread each.
 */
#include <pthread.h>

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg);
int __wrap_pthread_join(pthread_t thread, void **ret);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg)
{
    (void)attr;
    *thread = pthread_self();
    run(arg);
    return 0;
}

int __wrap_pthread_join(pthread_t thread, void **ret)
{
    (void)thread;
    (void)ret;
    return 0;
}
