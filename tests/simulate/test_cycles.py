"""The cycle models against the timing tables of Arm's manuals, instruction by instruction."""

import pytest

from edgebat.errors import TargetError, ToolError
from edgebat.simulate.cycles import estimate
from edgebat.simulate.targets import CycleBasis


class Code:
    """Stands in for an image: one piece of code at address 0x100, called from an aligned or an odd word."""

    def __init__(self, code: str, back: int = 0x200):
        self.code, self.back = bytes.fromhex(code), back

    def read(self, address, size):
        return self.code[address - 0x100 : address - 0x100 + size]

    def address(self, name):
        assert name == "bench_return"
        return self.back


def cycles(model, code, back=0x200):
    piece = Code(code, back)
    result = estimate(CycleBasis(model, 8, "test"), piece, [(0x100, len(piece.code))])
    return result.value


M4 = {
    "bx lr": ("7047", 1 + 2),
    "nop; bx lr": ("00bf 7047", 1 + 1 + 2),
    "ldr; bx lr": ("0168 7047", 2 + 3),
    "ldr; ldr; ldr; bx lr: loads in a row are pipelined": ("0168 4268 8368 7047", 2 + 1 + 1 + 3),
    "ldr; nop; ldr; bx lr": ("0168 00bf 4268 7047", 2 + 1 + 2 + 3),
    "str; bx lr": ("0160 7047", 1 + 3),
    "push {r4, r5, lr}; pop {r4, r5, pc}": ("30b5 30bd", 4 + 4 + 2),
    "ldrd; bx lr": ("d0e90045 7047", 3 + 3),
    "ldm r0, {r1, r2, r3}; bx lr": ("90e80e00 7047", 4 + 3),
    "smlad; bx lr": ("20fb0123 7047", 1 + 3),
    "it eq; moveq; bx lr: IT is folded": ("08bf 0120 7047", 0 + 1 + 3),
    "sdiv; bx lr": ("91fbf2f0 7047", 7 + 3),
}
M0 = {
    "bx lr": ("7047", 2),
    "ldr; ldr; bx lr: no pipelining": ("0168 4268 7047", 2 + 2 + 2),
    "str; bx lr": ("0160 7047", 2 + 2),
    "muls; bx lr": ("4143 7047", 1 + 2),
    "push {r4, r5, lr}; pop {r4, r5, pc}": ("30b5 30bd", 4 + (3 + 3)),
}


@pytest.mark.parametrize("case", M4)
def test_cortex_m4(case):
    code, expected = M4[case]
    assert cycles("cortex-m4", code) == expected


@pytest.mark.parametrize("case", M0)
def test_cortex_m0plus(case):
    code, expected = M0[case]
    assert cycles("cortex-m0plus", code) == expected


def test_a_branch_to_the_middle_of_a_word_costs_one_more_on_the_m4_only():
    assert cycles("cortex-m4", "7047", back=0x202) == 4
    assert cycles("cortex-m0plus", "7047", back=0x202) == 2


def test_a_branch_that_is_not_taken_costs_one():
    # cmp r0, #0; bne (not taken) | bx lr
    piece = Code("0028 fdd1 7047")
    result = estimate(CycleBasis("cortex-m4", 8, "test"), piece, [(0x100, 4), (0x104, 2)])
    assert result.value == 2 + 3


def test_an_estimate_never_goes_without_its_error():
    result = estimate(CycleBasis("cortex-m4", 8, "17 kernels"), Code("7047"), [(0x100, 2)])
    assert str(result) == "3 cycles (model), ±8 %"
    assert result.basis == "17 kernels"


def test_no_model_no_cycles():
    assert estimate(None, Code("7047"), [(0x100, 2)]) is None
    with pytest.raises(TargetError, match="no cycle model 'cortex-m7'; known: cortex-m0plus, cortex-m4"):
        estimate(CycleBasis("cortex-m7", 8, ""), Code("7047"), [(0x100, 2)])
    with pytest.raises(ToolError, match="cannot decode the instruction at 0x00000100"):
        estimate(CycleBasis("cortex-m4", 8, ""), Code("ffffffff"), [(0x100, 4)])
