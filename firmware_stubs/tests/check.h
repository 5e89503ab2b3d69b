/*
 * check.h - the few assertions the host tests need, named as in the Unity test framework, so that the test
 * files also build with Unity: replace this header by unity.h.
 *
 * A failed assertion prints file, line and both values, and ends its test; main() returns the number of
 * failures.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EDGEBAT_CHECK_H
#define EDGEBAT_CHECK_H

#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>

void setUp(void);
void tearDown(void);

static jmp_buf check_exit;
static int check_tests;
static int check_failures;

static inline void check_equal(long expected, long actual, const char *file, int line, long index) {
    if (expected != actual) {
        printf("%s:%d: expected %ld, was %ld", file, line, expected, actual);
        if (index >= 0) {
            printf(" at element %ld", index);
        }
        printf("\n");
        longjmp(check_exit, 1);
    }
}

#define CHECK_EQUAL(expected, actual) check_equal((long)(expected), (long)(actual), __FILE__, __LINE__, -1)
#define CHECK_ARRAYS(expected, actual, count)                                                                \
    do {                                                                                                     \
        for (long check_i = 0; check_i < (long)(count); check_i++) {                                         \
            check_equal((long)(expected)[check_i], (long)(actual)[check_i], __FILE__, __LINE__, check_i);    \
        }                                                                                                    \
    } while (0)

#define TEST_ASSERT_EQUAL_INT(expected, actual) CHECK_EQUAL(expected, actual)
#define TEST_ASSERT_EQUAL_INT8(expected, actual) CHECK_EQUAL(expected, actual)
#define TEST_ASSERT_EQUAL_INT16(expected, actual) CHECK_EQUAL(expected, actual)
#define TEST_ASSERT_EQUAL_INT32(expected, actual) CHECK_EQUAL(expected, actual)
#define TEST_ASSERT_EQUAL_HEX32(expected, actual) CHECK_EQUAL(expected, actual)
#define TEST_ASSERT_EQUAL_INT8_ARRAY(expected, actual, count) CHECK_ARRAYS(expected, actual, count)
#define TEST_ASSERT_EQUAL_INT16_ARRAY(expected, actual, count) CHECK_ARRAYS(expected, actual, count)
#define TEST_ASSERT_EQUAL_INT32_ARRAY(expected, actual, count) CHECK_ARRAYS(expected, actual, count)

static inline void check_run(void (*test)(void), const char *name) {
    check_tests++;
    if (setjmp(check_exit) == 0) {
        setUp();
        test();
        tearDown();
    } else {
        check_failures++;
        printf("FAILED %s\n", name);
    }
}

#define RUN_TEST(test) check_run((test), #test)
#define UNITY_BEGIN() ((void)(check_tests = check_failures = 0))
#define UNITY_END() (printf("%d tests, %d failures\n", check_tests, check_failures), check_failures)

#endif
