/* printk.h */
#include <stdio.h>
#define printk printf
