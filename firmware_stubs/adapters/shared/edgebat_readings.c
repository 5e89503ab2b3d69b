/*
 * edgebat_readings.c - what several adapters need.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat/edgebat_readings.h"

#define WHOLE_CPCT UINT32_C(10000)
#define THOUSAND UINT32_C(1000)
#define HALF_FRACTION 10U
#define HALF_BIAS 15
#define HALF_LARGEST UINT32_C(0x7BFF)
#define HALF_SIGN UINT32_C(0x8000)
#define FLOAT_FRACTION 23U
#define FLOAT_BIAS 127

uint16_t edgebat_measured_soh(const edgebat_result_t *result) {
    const int measured = (result->source != (uint8_t)EDGEBAT_SOURCE_NONE) &&
                         (result->source != (uint8_t)EDGEBAT_SOURCE_DATASHEET);
    return measured ? result->soh_cpct : (uint16_t)EDGEBAT_UNKNOWN;
}

uint32_t edgebat_share(uint16_t cpct, uint32_t step, uint32_t most, uint32_t unknown) {
    const uint32_t steps = cpct / step;
    if (cpct == EDGEBAT_UNKNOWN) {
        return unknown;
    }
    return (steps > most) ? most : steps;
}

/* a * b / over in two parts, each of which 32 bits hold as long as b * over do. */
static uint32_t scaled(uint32_t a, uint32_t b, uint32_t over) {
    const uint32_t high = a / over;
    if ((b != 0U) && (high >= (UINT32_MAX / b))) {
        return EDGEBAT_NOT_KNOWN;
    }
    const uint32_t low = ((a % over) * b) / over;
    return ((high * b) > (UINT32_MAX - low)) ? EDGEBAT_NOT_KNOWN : ((high * b) + low);
}

uint32_t edgebat_part_of(uint32_t whole, uint16_t cpct) {
    const int known = (whole != EDGEBAT_NOT_KNOWN) && (cpct != EDGEBAT_UNKNOWN);
    return known ? scaled(whole, cpct, WHOLE_CPCT) : EDGEBAT_NOT_KNOWN;
}

uint32_t edgebat_full_mAh(const edgebat_result_t *result, const edgebat_readings_t *readings) {
    const uint32_t whole = (readings->capacity_mAh == 0U) ? EDGEBAT_NOT_KNOWN : readings->capacity_mAh;
    return edgebat_part_of(whole, edgebat_measured_soh(result));
}

uint32_t edgebat_energy_mWh(uint32_t charge_mAh, uint32_t nominal_mV) {
    const int known =
        (charge_mAh != EDGEBAT_NOT_KNOWN) && (nominal_mV != 0U) && (nominal_mV < (UINT32_MAX / THOUSAND));
    return known ? scaled(charge_mAh, nominal_mV, THOUSAND) : EDGEBAT_NOT_KNOWN;
}

int32_t edgebat_rounded(int32_t value, int32_t divisor) {
    const int32_t quotient = value / divisor;
    const int32_t rest = value % divisor;
    if (rest >= (divisor - rest)) {
        return quotient + 1;
    }
    return (-rest >= (divisor + rest)) ? (quotient - 1) : quotient;
}

int32_t edgebat_between(int32_t value, int32_t least, int32_t most) {
    const int32_t below = (value > most) ? most : value;
    return (below < least) ? least : below;
}

void edgebat_put16(uint8_t *at, uint32_t value) {
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8U);
}

void edgebat_put32(uint8_t *at, uint32_t value) {
    edgebat_put16(at, value);
    edgebat_put16(&at[2], value >> 16U);
}

/* The quotient by 1,000 with 54 or 55 bits, of which the fraction keeps the upper ones; a remainder breaks a tie. */
static uint32_t binary_of(uint32_t thousandths, uint32_t fraction, int32_t bias) {
    uint32_t value = thousandths;
    int32_t exponent = 54 - 32;
    if (value == 0U) {
        return 0U;
    }
    while ((value & UINT32_C(0x80000000)) == 0U) {
        value <<= 1U;
        exponent--;
    }
    const uint64_t wide = (uint64_t)value << 32U;
    const uint32_t lost = ((wide % THOUSAND) != 0U) ? 1U : 0U;
    uint64_t quotient = wide / THOUSAND;
    if ((quotient >> 54U) == 0U) {
        quotient <<= 1U;
        exponent--;
    }
    const uint32_t drop = 54U - fraction;
    const uint64_t half = UINT64_C(1) << (drop - 1U);
    const uint64_t rest = (quotient & ((half << 1U) - 1U)) | lost;
    uint32_t bits = (uint32_t)(quotient >> drop) - (UINT32_C(1) << fraction);
    bits += (uint32_t)(exponent + bias)
            << fraction; /* rounding up may carry into the exponent, as it should */
    if ((rest > half) || ((rest == half) && ((bits & 1U) != 0U))) {
        bits++;
    }
    return bits;
}

uint32_t edgebat_half(int32_t thousandths) {
    const uint32_t size = (thousandths < 0) ? (0U - (uint32_t)thousandths) : (uint32_t)thousandths;
    const uint32_t bits = binary_of(size, HALF_FRACTION, HALF_BIAS);
    return ((bits > HALF_LARGEST) ? HALF_LARGEST : bits) | ((thousandths < 0) ? HALF_SIGN : 0U);
}

uint32_t edgebat_float(uint32_t thousandths) {
    return binary_of(thousandths, FLOAT_FRACTION, FLOAT_BIAS);
}
