"""The optional float32 kernels: equal to float64 within their tolerance, and no part of the integer library."""

import ctypes
import shutil
import subprocess

import numpy as np
import pytest

from edgebat.bench.float_c import FLAGS, kernel_sources, write_float_c
from edgebat.bench.floats import CORES, calibrated_inputs, run_float
from edgebat.bench.nets import NETS, reference_float_net, reference_net
from edgebat.paths import firmware_dir
from edgebat.students.spec import INPUT_STEP, float_forward
from tests.c_host import WARNINGS, c_compiler, call, compilers, pointer

TOLERANCE = 1e-5  # outputs are of the order of one; float32 resolves 1e-7 there, sums of 256 products a little less


def windows(net, count):
    """float32 [count, T, C], the last two at both ends of the input's range."""
    x = (calibrated_inputs(reference_net(net), count) * INPUT_STEP).astype(np.float32)
    x[-2], x[-1] = -4.0, 4.0 - INPUT_STEP
    return x


@pytest.mark.parametrize("net", NETS)
def test_float_kernels_equal_float64(tmp_path, net):
    model, x = reference_float_net(net), windows(net, 200)
    write_float_c(model, tmp_path, "net")
    library, flags = tmp_path / "net.so", [*WARNINGS, *FLAGS, f"-I{firmware_dir() / 'include'}", f"-I{tmp_path}"]
    call([c_compiler(), "-O1", "-fPIC", "-shared", *flags, tmp_path / "net.c", *kernel_sources(), "-o", library])
    run = ctypes.CDLL(str(library)).net_run
    expected = float_forward(model, x.astype(np.float64))
    out, scratch = np.empty(expected.shape[1], np.float32), np.full(1000, np.nan, np.float32)
    for window, wanted in zip(x, expected, strict=True):
        assert run(pointer(window), pointer(out), pointer(scratch)) == 0
        np.testing.assert_allclose(out, wanted, rtol=0, atol=TOLERANCE)


@pytest.mark.skipif(not shutil.which("arm-none-eabi-gcc"), reason="arm-none-eabi-gcc is not installed")
@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("net", NETS)
def test_float_kernels_on_a_simulated_fpu_equal_float64(core, net):
    model, x = reference_float_net(net), windows(net, 6)
    done, outputs = run_float(model, core, x, confirm=False)
    np.testing.assert_allclose(outputs, float_forward(model, x.astype(np.float64)), rtol=0, atol=TOLERANCE)
    assert done.instructions[0] == done.instructions[1]  # no branch depends on the data


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_without_the_macro_there_is_no_float(tmp_path, compiler):
    if compiler not in compilers() or not shutil.which("nm"):
        pytest.skip(f"{compiler} or nm is not installed")
    for source in kernel_sources():
        built = tmp_path / f"{source.stem}.o"
        call([compiler, *WARNINGS, "-c", f"-I{firmware_dir() / 'include'}", source, "-o", built])
        symbols = subprocess.run(["nm", built], capture_output=True, text=True, check=True).stdout
        assert not [line for line in symbols.splitlines() if line.split()[-2] in "TtDdBbRrU"]
