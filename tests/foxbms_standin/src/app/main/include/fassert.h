#ifndef STANDIN_FASSERT_H
#define STANDIN_FASSERT_H

#include <setjmp.h>

/* A failed assertion leaves the code under test. */
extern jmp_buf standin_assert;

#define FAS_TRAP (0u == 1u)
#define FAS_ASSERT(x)                                                                                        \
    do {                                                                                                     \
        if (!(x)) {                                                                                          \
            longjmp(standin_assert, 1);                                                                      \
        }                                                                                                    \
    } while (0)
#define FAS_STATIC_ASSERT(cond, msg) _Static_assert(cond, msg)

#endif
