/*
 * EdgebatSoh.h - the estimator of one battery for sketches.
 *
 *     EdgebatSoh soh;
 *     soh.begin(3500);                                    in setup(): a cell of 3500 mAh
 *     soh.push(3712, 875, 251, 1000);                     every second: mV, mA (charging positive), 0.1 degC, ms
 *     soh.step();                                         in loop(): one slice of the model
 *     soh.result().soh_cpct                               0.01 %
 *
 * Everything else is in edgebat/edgebat.h, and `battery()` is what its functions take.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EDGEBAT_SOH_H
#define EDGEBAT_SOH_H

#include "edgebat/edgebat.h"
#include "edgebat_port.h"

class EdgebatSoh {
  public:
    /** Room for a saved state. */
    static const uint32_t stateBytes = EDGEBAT_PORT_SAVED_BYTES;

    EdgebatSoh() : battery_(), config_(), work_() {
    }

    /** Defaults for a cell of `nominal_mAh`; change them before begin(). */
    edgebat_config_t &config(uint32_t nominal_mAh) {
        (void)edgebat_config_default(&config_, nominal_mAh);
        return config_;
    }

    /** With what config() said before: without it every value is 0 and refused. saved: a state from state(), or nothing. Returns the code of edgebat_init, or
     * that of the self-test; with a state that was refused (EDGEBAT_ERR_BLANK, _FORMAT, _DAMAGED) the
     * battery begins as a new one. */
    int begin(const void *saved = nullptr, uint32_t bytes = 0U) {
        const int code = edgebat_init(&battery_, &EDGEBAT_PORT_MODEL, &config_, &work_, saved, bytes);
        const int tested = edgebat_selftest(&battery_);
        return (code != EDGEBAT_OK) ? code : tested;
    }

    int begin(uint32_t nominal_mAh) {
        (void)config(nominal_mAh);
        return begin();
    }

    int push(const edgebat_sample_t &sample) {
        return edgebat_push(&battery_, &sample);
    }

    int push(int16_t cell_mV, int32_t current_mA, int16_t temperature_ddegC, uint32_t dt_ms) {
        edgebat_sample_t sample;
        sample.cell_mV = cell_mV;
        sample.current_mA = current_mA;
        sample.temperature_ddegC = temperature_ddegC;
        sample.dt_ms = dt_ms;
        sample.valid = EDGEBAT_VALID_ALL;
        return push(sample);
    }

    /** True: call again, not urgent. */
    bool step() {
        return edgebat_step(&battery_) == EDGEBAT_BUSY;
    }

    edgebat_result_t result() const {
        edgebat_result_t now = edgebat_result_t();
        (void)edgebat_result(&battery_, &now);
        return now;
    }

    /** Write the state into stateBytes bytes; keep two in turn, see edgebat_state_newest. */
    int state(void *buffer) {
        return edgebat_state_get(&battery_, buffer, stateBytes);
    }

    edgebat_t *battery() {
        return &battery_;
    }

  private:
    EdgebatSoh(const EdgebatSoh &); /* the battery points to its configuration and memory */
    EdgebatSoh &operator=(const EdgebatSoh &);

    edgebat_t battery_;
    edgebat_config_t config_;
    edgebat_port_work_t work_;
};

#endif
