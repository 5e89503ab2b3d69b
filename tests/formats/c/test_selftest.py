"""What a model in C brings beside `run`: a self-test, and engineering units at both ends."""

import ctypes
import re
from dataclasses import replace

import numpy as np
import pytest

from edgebat.errors import ModelFileError
from edgebat.formats.c.write import write_c
from edgebat.formats.golden import golden_vectors
from edgebat.runtime import Engine, outputs_in_units, quantize_input
from tests.c_host import VARIANTS, WARNINGS, HostModel, Kernels, aligned, c_compiler, call, load, pointer
from tests.formats_graphs import FAMILIES, META, random_cnn, random_lstm, random_mlp

OK, NULL, CRC, GOLDEN = 0, -1, -3, -4
MODES = ("balanced", "flash", "ram", "fast")


@pytest.fixture(scope="module")
def kernels(tmp_path_factory):
    return Kernels(tmp_path_factory.mktemp("kernels"))


def selftest(model):
    output = np.zeros(model.model.output_len, model.model.output_dtype)
    scratch, _ = aligned(model.model.scratch_bytes)
    return model.function("selftest")(pointer(output), pointer(scratch))


def compile_again(model, kernels, variant, folder):
    """Compile the (edited) source of ``model`` once more."""
    library = folder / "edited.so"
    flags = (*VARIANTS[variant], f"-I{model.model.include_dir}", f"-I{model.model.files[0].parent}")
    objects = kernels.objects(VARIANTS[variant])
    call([c_compiler(), "-O1", "-fPIC", "-shared", *WARNINGS, *flags, model.model.files[1], *objects, "-o", library])
    return HostModel(model.model, ctypes.CDLL(str(library)))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("mode", MODES)
def test_an_unharmed_model_passes_in_every_layout_and_mode(tmp_path, kernels, family, variant, mode):
    model = load(FAMILIES[family](5), tmp_path, kernels, VARIANTS[variant], mode=mode)
    assert selftest(model) == OK


@pytest.mark.parametrize("variant", VARIANTS)
def test_one_changed_weight_is_found(tmp_path, kernels, variant):
    model = load(random_mlp(5), tmp_path, kernels, VARIANTS[variant])
    source = model.model.files[1]
    text = source.read_text()
    first = re.search(r"EDGEBAT_WEIGHTS\((-?\d+),", text)
    changed = int(first[1]) + (1 if int(first[1]) < 0 else -1)
    source.write_text(text.replace(first[0], f"EDGEBAT_WEIGHTS({changed},", 1))
    assert selftest(compile_again(model, kernels, variant, tmp_path)) == CRC


def test_a_wrong_constant_outside_the_tables_is_found_by_the_golden_vectors(tmp_path, kernels):
    model = load(random_mlp(5), tmp_path, kernels, VARIANTS["portable"])
    source = model.model.files[1]
    source.write_text(
        re.sub(r"(\.rounding = EDGEBAT_ROUNDING\(\d+, \d+, \d+, )(-?\d+)", r"\g<1>1 + \2", source.read_text())
    )
    assert selftest(compile_again(model, kernels, "portable", tmp_path)) == GOLDEN


def test_golden_vectors_are_the_models_own():
    graph = random_cnn(5)
    x, y = golden_vectors(graph, 2)
    np.testing.assert_array_equal(Engine(graph).run(x).reshape(len(x), -1), y)
    np.testing.assert_array_equal(golden_vectors(random_cnn(5), 2)[0], x)
    other = golden_vectors(random_lstm(5), 2)[0]
    assert other.reshape(-1)[:8].tolist() != x.reshape(-1)[:8].tolist()


def test_bad_pointers_of_the_selftest_are_return_codes(tmp_path, kernels):
    model = load(random_mlp(5), tmp_path, kernels, VARIANTS["portable"])
    assert model.function("selftest")(ctypes.c_void_p(None), ctypes.c_void_p(None)) == NULL


def test_the_selftest_can_be_left_out(tmp_path, kernels):
    model = load(random_mlp(5), tmp_path, kernels, (*VARIANTS["portable"], "-DEDGEBAT_SELFTEST=0"))
    assert not hasattr(model.library, "net_selftest")
    assert not hasattr(model.library, "net_crc32")


def with_border(columns):
    graph = replace(random_mlp(5), meta={})
    rng = np.random.default_rng(columns)
    source = graph.input_tensor.shape[-1]
    border = {
        "unit": "ppm_of_nominal",
        "offset": rng.integers(-20000, 20000, source).tolist(),
        "multiplier": rng.integers(1, 2000, source).tolist(),
        "shift": 12,
    }
    size = graph.output_tensor.shape[0]
    outputs = [
        {"name": "soh", "index": 0, "size": 1, "unit": "cpct", "multiplier": 611, "shift": 12, "offset": 9100},
        {"name": "all", "index": 0, "size": size, "unit": "cycles", "multiplier": -70000, "shift": 20, "offset": -3},
    ]
    return replace(graph, meta={"input": border, "outputs": outputs})


def test_units_at_both_ends_equal_numpy(tmp_path, kernels):
    graph = with_border(1)
    model = load(graph, tmp_path, kernels, VARIANTS["portable"])
    rng = np.random.default_rng(2)
    shape = graph.input_tensor.shape
    for scale in (100, 60000, 2**30):
        values = rng.integers(-scale, scale, (1, *shape), dtype=np.int32)
        q = np.zeros(shape, np.int8)
        model.function("quantize")(pointer(values), pointer(q), shape[0])
        np.testing.assert_array_equal(q[None], quantize_input(graph, values))
    y = rng.integers(-32768, 32768, (1, *graph.output_tensor.shape)).astype(graph.output_tensor.dtype)
    expected = outputs_in_units(graph, y)
    assert model.function("soh")(pointer(y)) == expected["soh"][0, 0]
    values = [model.function("all")(pointer(y), i) for i in range(y.shape[1])]
    assert values == expected["all"][0].tolist()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("input", "offset"), [1]),
        (("input", "shift"), 0),
        (("input", "multiplier"), None),
        (("outputs", 0, "name"), "x; int evil"),
        (("outputs", 0, "name"), "run"),
        (("outputs", 0, "size"), 99),
        (("outputs", 0, "offset"), 2**40),
        (("outputs", 0, "unit"), ...),
    ],
)
def test_a_border_that_makes_no_sense_is_refused(tmp_path, path, value):
    graph = with_border(1)
    level = graph.meta
    for key in path[:-1]:
        level = level[key]
    if value is ...:
        del level[path[-1]]
    else:
        level[path[-1]] = value
    with pytest.raises(ModelFileError, match="border"):
        write_c(graph, tmp_path, "net")


def test_a_border_that_would_leave_its_integers_is_refused(tmp_path):
    graph = with_border(1)
    columns = graph.input_tensor.shape[-1]
    wide = {"offset": [-(2**31)] * columns, "multiplier": [2**31 - 1] * columns, "shift": 40}
    graph.meta["input"].update(wide)
    with pytest.raises(ModelFileError, match="leaves 64 bits"):
        write_c(graph, tmp_path, "net")
    graph.meta["input"].update({"shift": 30})
    write_c(graph, tmp_path, "net")
    graph.meta["outputs"][0].update({"multiplier": 2**24, "shift": 1, "offset": 0})
    with pytest.raises(ModelFileError, match="more than 32 bits"):
        write_c(graph, tmp_path, "net")


def test_a_unit_cannot_leave_its_comment(tmp_path):
    graph = replace(random_mlp(5), meta=META | {"input": with_border(1).meta["input"] | {"unit": "*/ int evil; /*"}})
    header = write_c(graph, tmp_path, "net").files[0].read_text()
    assert "evil; /*" not in header
    assert "*/ int" not in header
