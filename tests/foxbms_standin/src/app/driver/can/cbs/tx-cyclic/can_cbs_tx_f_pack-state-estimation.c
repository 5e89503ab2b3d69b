static uint64_t CANTX_CalculatePackSoh(void);

static uint64_t CANTX_CalculatePackSoh(void) {
    float_t signalData = CANTX_100_PERCENT_FLOAT;
    return (uint64_t)signalData;
}

extern uint32_t CANTX_PackStateEstimation(const CAN_SHIM_s *const kpkCanShim) {
    DATA_READ_DATA(kpkCanShim->pTableSoc, kpkCanShim->pTableSoe);
    return (uint32_t)CANTX_CalculatePackSoh();
}
