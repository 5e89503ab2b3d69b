/* nvs_flash.h - the partition of nvs.h. */
#ifndef STANDIN_NVS_FLASH_H
#define STANDIN_NVS_FLASH_H

#include "nvs.h"

esp_err_t nvs_flash_init(void);
esp_err_t nvs_flash_erase(void);

#endif
