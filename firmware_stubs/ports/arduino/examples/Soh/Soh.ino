/*
 * State of health of a made-up cell, so that it runs on a bare board. In your sketch the readings of a battery
 * monitor or of analogRead() stand where the demo's are, once a second.
 */
#include <EdgebatSoh.h>
#include <edgebat_demo.h>

static const uint32_t demoCycles = EDGEBAT_PORT_CONTEXT + 3U;

EdgebatSoh soh;
edgebat_demo_t cell;

void setup() {
    Serial.begin(115200);
    soh.config(EDGEBAT_PORT_NOMINAL_MAH).slew_cpct_h = 0; // a demonstration lasts no hundred hours
    const int code = soh.begin();
    Serial.print("begin ");
    Serial.println(code);
    edgebat_demo_begin(&cell, &EDGEBAT_PORT_MODEL, EDGEBAT_PORT_NOMINAL_MAH);
}

void loop() {
    if (cell.cycle >= demoCycles) {
        delay(1000);
        return;
    }
    const uint32_t before = cell.cycle;
    edgebat_sample_t sample;
    edgebat_demo_next(&cell, &sample); // yours: millivolts, milliamperes, 0.1 degC, milliseconds
    soh.push(sample);
    while (soh.step()) {
        yield(); // a slice of the model, then everybody else
    }
    if (cell.cycle != before) {
        const edgebat_result_t r = soh.result();
        Serial.print("cycle ");
        Serial.print(r.cycle);
        Serial.print(" soh_cpct ");
        Serial.print(r.soh_cpct);
        Serial.print(" rul_cycles ");
        Serial.print(r.rul_cycles);
        Serial.print(" status ");
        Serial.print(static_cast<int>(r.status));
        Serial.print(" source ");
        Serial.println(static_cast<int>(r.source));
    }
}
