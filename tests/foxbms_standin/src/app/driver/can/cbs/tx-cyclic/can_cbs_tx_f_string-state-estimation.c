static uint64_t CANTX_CalculateStringSoh(uint8_t stringNumber, const CAN_SHIM_s *const kpkCanShim) {
    float_t signalData = 100.0f;
    return (uint64_t)signalData;
}
