/* standin_nvs.c - the storage is the file "nvs"; the program's entry is app_main in a task. */
#include <stdio.h>
#include <string.h>

#include "freertos/FreeRTOS.h"
#include "freertos/task.h"
#include "nvs_flash.h"

static unsigned char pending[4096];
static size_t pending_bytes;

esp_err_t nvs_flash_init(void) {
    return ESP_OK;
}

esp_err_t nvs_flash_erase(void) {
    return remove("nvs");
}

esp_err_t nvs_open(const char *name, nvs_open_mode_t mode, nvs_handle_t *handle) {
    *handle = 1U;
    FILE *const file = fopen("nvs", "rb");
    if (file != NULL) {
        fclose(file);
    }
    /* Reading a namespace that was never written is an error there, too. */
    return (strlen(name) > 15U || (mode == NVS_READONLY && file == NULL)) ? ESP_ERR_NVS_NOT_FOUND : ESP_OK;
}

esp_err_t nvs_get_blob(nvs_handle_t handle, const char *key, void *value, size_t *length) {
    unsigned char content[4096];
    (void)handle;
    (void)key;
    FILE *const file = fopen("nvs", "rb");
    if (file == NULL) {
        return ESP_ERR_NVS_NOT_FOUND;
    }
    const size_t found = fread(content, 1, sizeof(content), file);
    fclose(file);
    if (found > *length) {
        return ESP_ERR_NVS_INVALID_LENGTH;
    }
    memcpy(value, content, found);
    *length = found;
    return ESP_OK;
}

esp_err_t nvs_set_blob(nvs_handle_t handle, const char *key, const void *value, size_t length) {
    if (handle != 1U || strlen(key) > 15U || length > sizeof(pending)) {
        return ESP_FAIL;
    }
    memcpy(pending, value, length);
    pending_bytes = length;
    return ESP_OK;
}

esp_err_t nvs_commit(nvs_handle_t handle) {
    (void)handle;
    FILE *const file = fopen("nvs", "wb");
    if (file == NULL) {
        return ESP_FAIL;
    }
    fwrite(pending, 1, pending_bytes, file);
    fclose(file);
    return ESP_OK;
}

void nvs_close(nvs_handle_t handle) {
    (void)handle;
}

void app_main(void);

static void entry(void *unused) {
    (void)unused;
    app_main();
    for (;;) {
        vTaskDelay(portMAX_DELAY);
    }
}

int main(void) {
    static StaticTask_t memory;
    static StackType_t stack[64];
    (void)xTaskCreateStatic(entry, "main", 64, NULL, tskIDLE_PRIORITY + 2U, stack, &memory);
    standin_run();
    return 0;
}
