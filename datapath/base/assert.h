/*
 * Assertions for programming errors: always on, in every build. A peer's error is never an assertion.
 */
#ifndef RG_BASE_ASSERT_H
#define RG_BASE_ASSERT_H

#define RG_LIKELY(x)   __builtin_expect(!!(x), 1)
#define RG_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define RG_COLD        __attribute__((cold, noinline))

/* Writes the message to standard error without allocating, then aborts. */
_Noreturn RG_COLD void rg_assert_failed(const char *what, const char *file, int line);

#define RG_ASSERT(cond)                                  \
    do {                                                 \
        if (RG_UNLIKELY(!(cond)))                        \
            rg_assert_failed(#cond, __FILE__, __LINE__); \
    } while (0)

#endif
