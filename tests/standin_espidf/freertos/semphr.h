/* ESP-IDF keeps these headers in a folder. */
#include "../../standin_freertos/semphr.h"
