/* bms.h - the members of LibreSolar's bms_context that bms_soh.c reads. Not LibreSolar's. */
#ifndef STANDIN_BMS_H
#define STANDIN_BMS_H

struct bms_context {
    float nominal_capacity_Ah;
    struct {
        float cell_chg_voltage_limit;
        float cell_dis_voltage_limit;
    } ic_conf;
    struct {
        unsigned char connected_cells;
        float cell_voltages[16];
        float current;
        float cell_temp_avg;
    } ic_data;
};

#endif
