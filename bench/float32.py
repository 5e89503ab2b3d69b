"""The reference networks in float32 with the FPU of Cortex-M4F and Cortex-M7, beside edgebat's int8 without it.

    python bench/float32.py

Weights are those the integer networks were quantized from; the error is the largest difference to the same network in
float64, over 16 windows like those it was quantized with. Needs arm-none-eabi-gcc and ``pip install "edgebat[sim]"``.
"""

from __future__ import annotations

from edgebat.bench.floats import float_rows


def main() -> None:
    print("| network | core | | instructions (simulator) | flash | RAM | largest error |")
    print("| --- | --- | --- | ---: | ---: | ---: | ---: |")
    how = []
    for row in float_rows():
        print(
            f"| {row.net} | {row.core} | {row.kind} | {row.instructions} | {row.flash:,} | {row.ram:,} | {row.error:.2g} |"
        )
        how.append(f"{row.core}, {row.kind}: {row.how}")
    print()
    print("\n".join(dict.fromkeys(how)))


if __name__ == "__main__":
    main()
