/* standin.cpp - an Arduino that ends at the first delay of a second. */
#include "Arduino.h"

#include <stdlib.h>

StandinSerial Serial;

void yield() {
}

void delay(uint32_t ms) {
    if (ms >= 1000U) {
        fflush(stdout);
        exit(0);
    }
}

int main() {
    setup();
    for (;;) {
        loop();
    }
}
