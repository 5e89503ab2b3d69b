extern uint64_t TEST_CANTX_CalculatePackSoh(void);
