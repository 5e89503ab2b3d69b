static DATA_BLOCK_SOE_s can_tableSoe = {0};

const CAN_SHIM_s can_kShim = {
    .pTableSoe = &can_tableSoe,
};

void setUp(void) {
}

void testPack(void) {
    DATA_Read2DataBlocks_ExpectAndReturn(can_kShim.pTableSoc, can_kShim.pTableSoe, STD_OK);
    (void)TEST_CANTX_CalculatePackSoh();
}
