/* Assertions, spelt as in foxBMS's tests; a failed one ends the program. */
#ifndef STANDIN_UNITY_H
#define STANDIN_UNITY_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define TEST_SOURCE_FILE(name)
#define TEST_INCLUDE_PATH(name)

#define TEST_FAIL_MESSAGE(text) (printf("%s:%d: %s\n", __FILE__, __LINE__, (text)), exit(1))
#define TEST_ASSERT_TRUE(condition) ((condition) ? (void)0 : TEST_FAIL_MESSAGE(#condition))
#define TEST_ASSERT_EQUAL(expected, actual)                                                                  \
    (((long)(expected) == (long)(actual))                                                                    \
         ? (void)0                                                                                           \
         : (printf("%ld, not %ld: ", (long)(actual), (long)(expected)), TEST_FAIL_MESSAGE(#actual)))
#define TEST_ASSERT_EQUAL_UINT32(expected, actual) TEST_ASSERT_EQUAL(expected, actual)
#define TEST_ASSERT_FLOAT_WITHIN(delta, expected, actual)                                                    \
    ((fabs((double)(expected) - (double)(actual)) <= (double)(delta))                                        \
         ? (void)0                                                                                           \
         : (printf("%f, not %f: ", (double)(actual), (double)(expected)), TEST_FAIL_MESSAGE(#actual)))
#define TEST_ASSERT_EQUAL_FLOAT(expected, actual) TEST_ASSERT_FLOAT_WITHIN(1e-5, expected, actual)

#endif
