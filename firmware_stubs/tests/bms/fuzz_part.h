/*
 * fuzz_part.h - what estimator and forecaster are fuzzed with: memory, saved states that are damaged, and a main.
 *
 * Linked with libFuzzer they are guided by coverage; with FUZZ_RANDOM each has its own main:
 * `fuzz_bms [calls [seed]]`, `fuzz_forecast [calls [seed]]`.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EDGEBAT_TESTS_FUZZ_PART_H
#define EDGEBAT_TESTS_FUZZ_PART_H

#include "edgebat/edgebat.h"

#include "fuzz.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
    uint64_t calls, states, corrupted, refused, restored;
} tally;

/** Memory of exactly the size the header names, so that AddressSanitizer sees the first byte too many. */
typedef struct {
    void *part;
    uint32_t *work;
    uint8_t *saved; /* the last state, sound */
    uint32_t saved_bytes;
    int have_saved;
} fuzz_part_t;

static inline fuzz_part_t fuzz_part(size_t part_bytes, size_t work_bytes, uint32_t saved_bytes) {
    const fuzz_part_t p = {fuzz_memory(NULL, part_bytes, 0), fuzz_memory(NULL, work_bytes, 0),
                           fuzz_memory(NULL, saved_bytes, 0), saved_bytes, 0};
    return p;
}

static inline void fuzz_part_free(fuzz_part_t *p) {
    fuzz_free(p->part, 0);
    fuzz_free(p->work, 0);
    fuzz_free(p->saved, 0);
}

/** A state was written to `saved`, with this code. Returns a copy with up to eight bytes changed; free it. */
static inline uint8_t *fuzz_saved(fuzz_part_t *p, fuzz_input_t *in, int code) {
    uint8_t *const bad = fuzz_memory(NULL, p->saved_bytes, 0);
    fuzz_require(code == EDGEBAT_OK, "state_get");
    p->have_saved = 1;
    tally.states++;
    tally.calls++;
    memcpy(bad, p->saved, p->saved_bytes);
    const int32_t faults = fuzz_range(in, 1, 8);
    for (int32_t i = 0; i < faults; i++) {
        bad[fuzz_range(in, 0, (int32_t)p->saved_bytes - 1)] ^= fuzz_byte(in);
    }
    return bad;
}

/** The changed copy was checked, with this code. Returns whether it was the state itself, nothing changed. */
static inline int fuzz_checked(const fuzz_part_t *p, const uint8_t *bad, int code) {
    const int same = memcmp(bad, p->saved, p->saved_bytes) == 0;
    fuzz_require((code == EDGEBAT_OK) == same, "a corrupted state is believed");
    tally.corrupted += (uint64_t)!same;
    tally.refused += (code != EDGEBAT_OK);
    tally.calls++;
    return same;
}

/** Bytes to begin with after a restart: the saved state, or rubbish; `*length` of them. End with
 * fuzz_restarted. */
static inline uint8_t *fuzz_restart(const fuzz_part_t *p, fuzz_input_t *in, uint32_t *length) {
    if (fuzz_byte(in) < 128U && p->have_saved) {
        *length = p->saved_bytes;
        return p->saved;
    }
    *length = (uint32_t)fuzz_range(in, 0, 2 * (int32_t)p->saved_bytes);
    return fuzz_memory(in, *length, 0);
}

/** The part was begun from these bytes, with this code. */
static inline void fuzz_restarted(fuzz_part_t *p, uint8_t *bytes, int code) {
    if (bytes == p->saved) {
        fuzz_require(code == EDGEBAT_OK, "a sound state is refused");
        tally.restored++;
    } else {
        fuzz_require(code < 0 && code != EDGEBAT_ERR_CONFIG, "rubbish is believed");
        p->have_saved = 0;
        fuzz_free(bytes, 0);
    }
    tally.calls++;
}

#if defined(FUZZ_RANDOM)

/** Prints what a program has counted beside `tally`. */
static void report(void);

enum { LONGEST = 2000 };

int main(int argc, char **argv) {
    static uint8_t data[LONGEST];
    const uint64_t wanted = (argc > 1) ? strtoull(argv[1], NULL, 10) : 100000U;
    uint64_t state = fuzz_seed((argc > 2) ? strtoull(argv[2], NULL, 10) : 1U);
    while (tally.calls < wanted) {
        for (size_t i = 0; i < LONGEST; i++) {
            data[i] = fuzz_random(&state);
        }
        (void)LLVMFuzzerTestOneInput(data, LONGEST);
    }
    report();
    (void)printf("  %llu calls, %llu states saved, %llu restored, %llu corrupted, %llu refused\n",
                 (unsigned long long)tally.calls, (unsigned long long)tally.states,
                 (unsigned long long)tally.restored, (unsigned long long)tally.corrupted,
                 (unsigned long long)tally.refused);
    return 0;
}

#endif

#endif
