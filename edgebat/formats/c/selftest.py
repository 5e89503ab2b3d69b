"""The self-test of a generated model: a CRC over its tables and golden vectors, for the first minute on a new board."""

from __future__ import annotations

from edgebat.formats.c import tables
from edgebat.formats.c.lowering import Program
from edgebat.formats.golden import golden_vectors
from edgebat.graph.model import IntGraph

GOLDEN = 2  # windows; each costs its input and its output in flash


def prototypes(name: str, upper: str) -> str:
    """Declarations for the header."""
    return f"""
#if EDGEBAT_SELFTEST

/** CRC-32 of the tables of the model as they lie in flash; {upper}_CRC32 when they are unharmed. */
uint32_t {name}_crc32(void);

/**
 * Compare the CRC of the tables, then the outputs of {upper}_GOLDEN windows with those of the exporting computer.
 * output and scratch as for {name}_run; both are overwritten. Returns EDGEBAT_OK, EDGEBAT_ERR_NULL,
 * EDGEBAT_ERR_ALIGN, EDGEBAT_ERR_CRC or EDGEBAT_ERR_GOLDEN.
 */
int {name}_selftest({name}_output_t *output, void *scratch);

#endif
"""


def macros(program: Program, upper: str) -> str:
    """The checksum of the tables for each layout of weights."""
    dsp, thumb1, portable = (f"0x{program.crc32(layout):08X}" for layout in tables.LAYOUTS)
    return f"""#define {upper}_GOLDEN {GOLDEN} /* windows of the self-test */
#if EDGEBAT_DSP
#define {upper}_CRC32 UINT32_C({dsp})
#elif EDGEBAT_THUMB1
#define {upper}_CRC32 UINT32_C({thumb1})
#else
#define {upper}_CRC32 UINT32_C({portable})
#endif
"""


def functions(graph: IntGraph, program: Program, name: str, upper: str) -> str:
    """Definitions for the source."""
    x, y = golden_vectors(graph, GOLDEN)
    inputs = tables.array("int8_t", "golden_input", [str(v) for v in x.reshape(-1)])
    outputs = tables.array(f"{graph.output_tensor.dtype}_t", "golden_output", [str(v) for v in y.reshape(-1)])
    checks = "".join(f"    crc = {table.check};\n" for table in program.tables if table.check)
    return f"""
#if EDGEBAT_SELFTEST

{inputs}
{outputs}
uint32_t {name}_crc32(void)
{{
    uint32_t crc = 0;
{checks}    return crc;
}}

int {name}_selftest({name}_output_t *output, void *scratch)
{{
    if ({name}_crc32() != {upper}_CRC32) {{
        return EDGEBAT_ERR_CRC;
    }}
    for (uint32_t n = 0; n < {upper}_GOLDEN; n++) {{
        const int status = {name}_run(&golden_input[n * {upper}_INPUT_LEN], output, scratch);
        if (status != EDGEBAT_OK) {{
            return status;
        }}
        for (uint32_t i = 0; i < {upper}_OUTPUT_LEN; i++) {{
            if (output[i] != golden_output[n * {upper}_OUTPUT_LEN + i]) {{
                return EDGEBAT_ERR_GOLDEN;
            }}
        }}
    }}
    return EDGEBAT_OK;
}}

#endif
"""
