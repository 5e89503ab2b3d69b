/* Arduino.h - what the sketch uses, for tests on a computer. Not Arduino's. */
#ifndef STANDIN_ARDUINO_H
#define STANDIN_ARDUINO_H

#include <stdint.h>
#include <stdio.h>

void delay(uint32_t ms);
void yield();

struct StandinSerial {
    void begin(uint32_t) {
    }
    void print(const char *text) {
        fputs(text, stdout);
    }
    void print(int value) {
        printf("%d", value);
    }
    void print(uint16_t value) {
        printf("%u", static_cast<unsigned>(value));
    }
    void print(uint32_t value) {
        printf("%lu", static_cast<unsigned long>(value));
    }
    template <typename T> void println(T value) {
        print(value);
        fputs("\r\n", stdout);
    }
};

extern StandinSerial Serial;

void setup();
void loop();

#endif
