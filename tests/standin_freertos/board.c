/* board.c - text and end of the FreeRTOS example on a computer. */
#include <stdio.h>
#include <stdlib.h>

void board_print(const char *text);
void board_exit(int code);

void board_print(const char *text) {
    fputs(text, stdout);
}

void board_exit(int code) {
    fflush(stdout);
    exit(code);
}
