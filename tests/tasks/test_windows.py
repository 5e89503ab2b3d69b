"""Windows of every task select, join, blend and keep themselves alike: written once, held here for all three."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgebat.errors import DataError
from edgebat.tasks.base import task, task_names
from edgebat.tasks.forecast.fade import fade_curves
from edgebat.tasks.forecast.windows import ForecastSpec, forecast_windows
from edgebat.tasks.windows import Blend, Windows
from edgebat.training.blend import draw_blend
from tests.life_cells import made_up_windows
from tests.tiny_windows import tiny_windows


def made_up(name: str) -> Any:
    """A few windows of several cells of the task, two of them or more of different lengths."""
    match name:
        case "health":
            return tiny_windows()
        case "forecast":
            return forecast_windows(fade_curves(6, seed=5), ForecastSpec(stride=24))
        case "life":
            return made_up_windows(6)
    raise AssertionError(f"a new task needs windows here: {name}")


@pytest.fixture(params=task_names())
def windows(request: pytest.FixtureRequest) -> Any:
    return made_up(request.param)


def names(windows: Windows, per: str) -> list[str]:
    """Fields that have one entry per window, or per cell."""
    return [f.name for f in dataclasses.fields(windows) if f.metadata.get("per") == per]


def of_cell(windows: Windows, key: tuple[str, str]) -> dict[str, Any]:
    """Everything that is kept of one cell."""
    index = windows.cells.index(key)
    rows = windows.cell == index
    kept: dict[str, Any] = {n: getattr(windows, n)[rows] for n in names(windows, "window") if n != "cell"}
    return kept | {n: getattr(windows, n)[index] for n in names(windows, "cell")}


def same(left: Any, right: Any) -> bool:
    return bool(np.array_equal(left, right, equal_nan=np.asarray(left).dtype.kind == "f"))


def check_same_cells(found: Windows, source: Windows) -> None:
    for key in found.cells:
        expected = of_cell(source, key)
        for name, value in of_cell(found, key).items():
            assert same(value, expected[name]), (key, name)


def test_every_field_belongs_to_a_window_a_cell_or_all(windows: Any) -> None:
    for name in names(windows, "window"):
        assert len(getattr(windows, name)) == len(windows), name
    for name in names(windows, "cell"):
        assert len(getattr(windows, name)) == len(windows.cells), name
    rest = {f.name for f in dataclasses.fields(windows)} - {*names(windows, "window"), *names(windows, "cell")}
    assert rest == {"spec", "left_out"}


def test_inputs_and_targets_have_a_row_per_window(windows: Any) -> None:
    x = windows.inputs()
    assert (x.ndim, x.dtype, len(x)) == (3, np.float32, len(windows))
    assert np.isfinite(x).all()
    for head, values in windows.targets().items():
        assert (values.ndim, values.dtype, len(values)) == (2, np.float32, len(windows)), head
        assert np.isfinite(values).any(), head


def test_select_by_mask_cell_and_data_set(windows: Any) -> None:
    mask = np.arange(len(windows)) % 2 == 0
    half = windows.select(mask)
    assert len(half) == mask.sum()
    assert same(half.inputs(), windows.inputs()[mask])
    wanted = [windows.cells[2], windows.cells[0]]
    two = windows.select(cells=wanted)
    assert two.cells == (windows.cells[0], windows.cells[2])  # in their old order
    check_same_cells(two, windows)
    assert windows.select(cells=wanted, mask=windows.cell == 0).cells == windows.cells[:1]
    assert len(windows.select(datasets=["nowhere"])) == 0
    assert len(windows.select(datasets=[windows.cells[0][0]])) == len(windows)


def test_select_refuses_what_is_not_there(windows: Any) -> None:
    with pytest.raises(DataError, match=r"1 cells have no windows here: \[\('NO', 'cell'\)\]"):
        windows.select(cells=[("NO", "cell")])
    with pytest.raises(DataError, match=rf"mask has shape \(3,\); there are {len(windows)} windows"):
        windows.select(np.ones(3, dtype=np.bool_))


def test_take_repeats_and_reorders(windows: Any) -> None:
    rows = [len(windows) - 1, 0, 0]
    taken = windows.take(rows)
    for name in names(windows, "window"):
        if name != "cell":
            assert same(getattr(taken, name), getattr(windows, name)[rows]), name
    for row, source in enumerate(rows):
        assert taken.cells[taken.cell[row]] == windows.cells[windows.cell[source]]
    none = windows.take([])
    assert (len(none), none.cells) == (0, ())
    assert none.inputs().shape[1:] == windows.inputs().shape[1:]


def test_fewer_windows_are_spread_evenly(windows: Any) -> None:
    assert same(windows.select_every(2).inputs(), windows.inputs()[::2])
    three = windows.evenly(3)
    assert len(three) == 3
    assert same(three.inputs()[[0, -1]], windows.inputs()[[0, -1]])
    assert same(windows.evenly(10**6).inputs(), windows.inputs())


def test_join_gives_back_what_was_parted(windows: Any) -> None:
    first, rest = windows.select(cells=windows.cells[:2]), windows.select(cells=windows.cells[2:])
    both = first.join(rest)
    assert both.cells == windows.cells
    for name in (*names(windows, "window"), *names(windows, "cell")):
        assert same(getattr(both, name), getattr(windows, name)), name
    assert both.digest() == windows.digest()


def test_join_counts_what_both_left_out(windows: Any) -> None:
    first = dataclasses.replace(windows.select(cells=windows.cells[:2]), left_out={"short": 2})
    rest = dataclasses.replace(windows.select(cells=windows.cells[2:]), left_out={"short": 1, "flagged": 4})
    assert first.join(rest).left_out == {"short": 3, "flagged": 4}


def test_join_refuses_a_cell_twice_and_windows_cut_otherwise(windows: Any) -> None:
    first, rest = windows.select(cells=windows.cells[:2]), windows.select(cells=windows.cells[2:])
    with pytest.raises(DataError, match="1 cells are in both"):
        first.join(windows.select(cells=windows.cells[1:]))
    with pytest.raises(DataError, match="cannot be joined"):
        first.join(dataclasses.replace(rest, spec=dataclasses.replace(rest.spec, eol=0.5), x=rest.x[:, :-1]))


def test_blends_lie_on_the_line_between_two_windows(windows: Any) -> None:
    first, second = np.array([0, 1, len(windows) - 1]), np.array([1, 0, 0])
    t = np.array([0.0, 0.25, 1.0], dtype=np.float32)
    blended = windows.blended(Blend(first, second, t))
    share = t.reshape(-1, *[1] * (windows.x.ndim - 1))
    np.testing.assert_allclose(blended.x, (1 - share) * windows.x[first] + share * windows.x[second], rtol=1e-5)
    # A cycle that one partner has not seen, the blend has not seen; what a student reads has no such holes.
    assert np.isfinite(blended.inputs()).all()
    for head, values in blended.targets().items():
        own = windows.targets()[head]
        mixed = (1 - t)[:, None] * own[first] + t[:, None] * own[second]
        # Known where both partners are, nowhere else.
        np.testing.assert_array_equal(np.isfinite(values), np.isfinite(mixed), err_msg=head)
        np.testing.assert_allclose(values, mixed, rtol=1e-5, err_msg=head)
    # Whose they are follows the first partner.
    assert [blended.cells[c] for c in blended.cell] == [windows.cells[windows.cell[row]] for row in first]


def test_drawn_blends_repeat(windows: Any) -> None:
    one, again, other = (windows.blended(draw_blend(windows.cell, 2, 0.5, seed)) for seed in (1, 1, 2))
    assert len(one) == 2 * len(windows)
    assert one.digest() == again.digest() != other.digest()


def test_a_file_gives_everything_back(windows: Any, tmp_path: Path) -> None:
    windows = dataclasses.replace(windows, left_out={"cells nobody measured": 3})
    windows.save(tmp_path / "a")
    again = type(windows).load(tmp_path / "a")
    assert (again.spec, again.cells, again.conditions) == (windows.spec, windows.cells, windows.conditions)
    assert again.left_out == windows.left_out
    for name in (*names(windows, "window"), *names(windows, "cell")):
        found, expected = getattr(again, name), getattr(windows, name)
        assert type(found) is type(expected), name
        assert same(found, expected), name
        assert getattr(found, "dtype", None) == getattr(expected, "dtype", None), name
    again.save(tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("content", [b"", b"\x08\0\0\0\0\0\0\0{}      ", b"junk" * 100])
def test_a_damaged_file_says_what_to_do(windows: Any, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w").write_bytes(content)
    with pytest.raises(DataError, match="run the step 'data' again"):
        type(windows).load(tmp_path / "w")


@pytest.mark.parametrize("keep", [0.02, 0.5, 0.999])
def test_a_file_cut_off_or_absent_is_refused(windows: Any, tmp_path: Path, keep: float) -> None:
    windows.save(tmp_path / "w")
    whole = (tmp_path / "w").read_bytes()
    (tmp_path / "w").write_bytes(whole[: int(keep * len(whole))])
    with pytest.raises(DataError, match="run the step 'data' again"):
        type(windows).load(tmp_path / "w")
    with pytest.raises(DataError, match="run the step 'data' again"):
        type(windows).load(tmp_path / "absent")


def test_a_header_with_something_missing_or_strange_is_refused(windows: Any, tmp_path: Path) -> None:
    from safetensors.numpy import load, save

    windows.save(tmp_path / "w")
    content = (tmp_path / "w").read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["windows"])
    arrays = load(content)

    def refused(header: Any, arrays: Any) -> None:
        (tmp_path / "w").write_bytes(save(arrays, metadata={"windows": json.dumps(header)}))
        with pytest.raises(DataError, match="run the step 'data' again"):
            type(windows).load(tmp_path / "w")

    refused({**header, "spec": {**header["spec"], "voltage": 3}}, arrays)
    refused({name: value for name, value in header.items() if name != "words"}, arrays)
    refused(header, {name: array for name, array in arrays.items() if name != "x"})
    refused(header, arrays | {"y2": arrays["x"]})


def test_windows_of_another_task_are_refused(windows: Any, tmp_path: Path) -> None:
    windows.save(tmp_path / "w")
    for name in task_names():
        if task(name).Windows is not type(windows):
            with pytest.raises(DataError, match="holds no windows of this task"):
                task(name).Windows.load(tmp_path / "w")
