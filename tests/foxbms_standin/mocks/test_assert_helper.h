#include "fassert.h"

#define TEST_ASSERT_FAIL_ASSERT(code)                                                                        \
    do {                                                                                                     \
        if (setjmp(standin_assert) == 0) {                                                                   \
            code;                                                                                            \
            TEST_FAIL_MESSAGE("did not assert: " #code);                                                     \
        }                                                                                                    \
    } while (0)
