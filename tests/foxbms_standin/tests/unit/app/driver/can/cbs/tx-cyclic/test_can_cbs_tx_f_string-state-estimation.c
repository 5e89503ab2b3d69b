static DATA_BLOCK_SOE_s can_tableSoe = {0};

const CAN_SHIM_s can_kShim = {
    .pTableSoe = &can_tableSoe,
};

void setUp(void) {
}
