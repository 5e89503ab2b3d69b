"""The corpus reader, on a corpus small enough to know by heart, and on the real one where it is at hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from edgebat.data.corpus import read_corpus, read_raw_parquet
from edgebat.data.synthetic import make_fleet
from edgebat.errors import DataError
from edgebat.paths import default_corpus
from edgebat.tasks.health import HealthSpec, charge_increments, health_windows, increments_from_curve
from edgebat.tasks.health.windows import eol_cycle

CORPUS = default_corpus()
needs_corpus = pytest.mark.skipif(CORPUS is None, reason="EDGEBAT_CORPUS does not name a corpus folder")


@pytest.fixture
def folder(tmp_path):
    """Two datasets with cell ids that look like numbers; ABC's name begins like AB's."""
    pd.DataFrame(
        {
            "dataset": ["AB", "AB", "ABC"],
            "cell_id": ["007", "8", "007"],
            "chemistry": ["NMC", "NMC", "LFP"],
            "nominal_capacity_ah": [2.0, 2.0, 1.0],
            "temperature_c": [25, 25, 40],
            "charge_protocol": ["1C", "1C", "2C"],
            "split": ["train", "test1", None],
            "quality": ["A", "A", "B"],
        }
    ).to_csv(tmp_path / "cells.csv", index=False)
    pd.DataFrame(
        {
            "dataset": pd.Categorical(["AB", "AB", "ABC"]),
            "cell_id": pd.Categorical(["007", "8", "007"]),
            "cycle": np.array([1, 1, 5], dtype=np.int32),
            "discharge_capacity_ah": np.array([2.0, 1.9, np.nan], dtype=np.float32),
            "outlier": [False, True, False],
            "label_kind": ["measured", "rpt", "measured"],
        }
    ).to_parquet(tmp_path / "capacity.parquet")
    (tmp_path / "segments").mkdir()
    return tmp_path


def segments(folder, name, **arrays):
    np.savez(folder / "segments" / name, **arrays)


def test_reads_tables_without_segments(folder):
    fleet = read_corpus(folder)
    assert fleet.keys == (("AB", "007"), ("AB", "8"), ("ABC", "007"))
    assert list(fleet.cells["split"]) == ["train", "test1", ""]
    assert fleet.charge is None
    assert list(fleet.cycles["outlier"]) == [False, True, False]
    assert np.isnan(fleet.cycles["discharge_capacity_ah"].iloc[2])
    assert not fleet.synthetic


def test_finds_whose_curves_a_file_holds(folder):
    grid = np.float32([3.6, 3.65, 3.7])
    # Named by the file: the longest dataset name counts, "ABC" and not "AB".
    segments(folder, "ABC_anything.npz", voltage=grid, cell_id=["007"], cycle=[5], dq_ah=np.float32([[0, 0.1, 0.3]]))
    # Named in the file, whatever the file is called; a cell that is not listed is passed over.
    segments(
        folder,
        "curves.npz",
        voltage=np.float32([3.5, 3.6, 3.7]),
        dataset=["AB", "XY"],
        cell_id=["8", "1"],
        cycle=[1, 1],
        dq_ah=np.float32([[0, 0.2, 0.6], [0, 0.2, 0.6]]),
    )
    # Without a time axis there is no charge to count, and other content is none of the reader's business.
    segments(folder, "AB_no_time.npz", cell_id=["8"], row=[1], voltage=np.ones((1, 4)), current=np.ones((1, 4)))
    segments(folder, "AB_other.npz", something=[1.0])
    charge = read_corpus(folder).charge
    assert list(zip(charge.dataset, charge.cell_id, charge.cycle, strict=True)) == [("AB", "8", 1), ("ABC", "007", 5)]
    # The union of both grids, with the same lines on it.
    assert charge.voltage_v == pytest.approx([3.5, 3.6, 3.65, 3.7])
    assert charge.dq_ah[0] == pytest.approx([0, 0.2, 0.4, 0.6])
    assert charge.dq_ah[1] == pytest.approx([np.nan, 0, 0.1, 0.3], nan_ok=True)
    # A dataset that is not wanted still keeps its file: "ABC_anything" does not fall to AB.
    assert read_corpus(folder, ["AB"]).charge.voltage_v == pytest.approx([3.5, 3.6, 3.7])


def test_a_file_named_otherwise_belongs_to_the_dataset_that_lists_its_cells(folder):
    grid, dq = [3.6, 3.65, 3.7], [[0, 0.1, 0.3]]
    segments(folder, "lab_export.npz", voltage=grid, cell_id=["8"], cycle=[1], dq_ah=dq)
    segments(folder, "ambiguous.npz", voltage=grid, cell_id=["007"], cycle=[1], dq_ah=dq)
    charge = read_corpus(folder).charge
    assert list(zip(charge.dataset, charge.cell_id, strict=True)) == [("AB", "8")]


def test_first_step_cut_by_sampling_is_mended(folder):
    true = np.array([0.0, 0.10, 0.21, 0.33, 0.46])  # steps 0.10, 0.11, 0.12, 0.13
    stored = np.stack([true, np.maximum(true - 0.04, 0.0), np.maximum(true - 0.06, 0.0)])
    arrays = {"voltage": 3.5 + 0.01 * np.arange(5), "cell_id": ["8"] * 3, "cycle": [1, 2, 3], "dq_ah": stored}
    segments(folder, "AB_1.npz", **arrays, first_step="sampled")
    fleet = read_corpus(folder)
    charge = fleet.charge
    assert fleet.notes == ("AB_1.npz: the first voltage step of 2 of 3 charge curves is mended, as the file states",)
    assert charge.dq_ah[:2] == pytest.approx(np.stack([true, true]), abs=1e-6)
    # More than half is missing: the charge began at 3.505 V or so, and 3.50-3.51 V is not covered.
    assert np.isnan(charge.dq_ah[2, 0])
    assert np.diff(charge.dq_ah[2, 1:]) == pytest.approx([0.11, 0.12, 0.13], abs=1e-6)
    assert read_corpus(folder, mend_start=False).charge.dq_ah == pytest.approx(stored)
    segments(folder, "AB_1.npz", **arrays, first_step="maybe")
    with pytest.raises(DataError, match="first_step is 'maybe'; allowed: 'exact', 'sampled'"):
        read_corpus(folder)
    # Nobody states it and three curves do not show it: they stay as they are.
    segments(folder, "AB_1.npz", **arrays)
    assert read_corpus(folder).charge.dq_ah == pytest.approx(stored)
    assert read_corpus(folder, mend_start=True).charge.dq_ah[:2] == pytest.approx(np.stack([true, true]), abs=1e-6)


def curves(folder, dq, grid):
    """The only file of curves of cell 8, which states nothing of its first step; what reading makes of it."""
    cycle = np.arange(1, len(dq) + 1)
    segments(folder, "AB_1.npz", voltage=grid, cell_id=["8"] * len(dq), cycle=cycle, dq_ah=dq)
    fleet = read_corpus(folder)
    return fleet.charge.dq_ah, fleet.notes


def test_exact_curves_are_not_mended(folder):
    for history in make_fleet(seed=7, cells=4, max_cycles=300).histories():
        wanted = (history.charge_voltage_v > 3.5999) & (history.charge_voltage_v < 3.7001)
        dq = history.charge_dq_ah[:, wanted].astype(float)
        dq -= dq[:, :1]
        read, notes = curves(folder, dq[np.isfinite(dq).all(axis=1)], history.charge_voltage_v[wanted])
        assert notes == ()
        assert read == pytest.approx(dq[np.isfinite(dq).all(axis=1)], abs=1e-6)


def test_a_first_step_cut_by_sampling_shows_itself(folder):
    history = next(make_fleet(seed=7, cells=4, max_cycles=300).histories())
    wanted = (history.charge_voltage_v > 3.5999) & (history.charge_voltage_v < 3.7001)
    dq = history.charge_dq_ah[:, wanted].astype(float)
    dq = dq[np.isfinite(dq).all(axis=1)]
    true = dq - dq[:, :1]
    lost = np.random.default_rng(3).uniform(0.0, 0.45, len(true)) * true[:, 1]
    # Less noise than the synthetic fleet has: what is lost is far more than what scatters.
    true[:, 1:] = np.linspace(0.1, 1.0, true.shape[1] - 1) * true[:, -1:]
    cut = np.maximum(true - lost[:, None], 0.0)
    read, notes = curves(folder, cut, history.charge_voltage_v[wanted])
    assert "is mended, as it scatters" in notes[0]
    kept = np.isfinite(read[:, 0])
    assert (read - read[:, :1])[kept, -1] == pytest.approx(true[kept, -1], rel=0.01)


@pytest.mark.parametrize(
    ("change", "suspected"),
    [
        ({"capacity": 1000.0}, "a value in mAh"),
        ({"nominal": 1000.0}, "a nominal capacity in mAh"),
        ({"nominal": 10.0}, "ten times as much"),
        ({"dq": 1000.0}, "a charge curve takes .* a charge in mAh"),
        ({"grid": 1000.0}, "voltages reach from .* Suspected: mV"),
    ],
)
def test_values_no_cell_can_have_are_refused_with_the_unit_suspected(folder, change, suspected):
    cells, cycles = (
        pd.read_csv(folder / "cells.csv", dtype={"cell_id": str}),
        pd.read_parquet(folder / "capacity.parquet"),
    )
    cells["nominal_capacity_ah"] *= change.get("nominal", 1.0)
    cycles["discharge_capacity_ah"] *= change.get("capacity", 1.0)
    cells.to_csv(folder / "cells.csv", index=False)
    cycles.to_parquet(folder / "capacity.parquet")
    grid, dq = np.array([3.5, 3.6, 3.7]), np.array([[0.0, 0.2, 0.6]])
    grid, dq = grid * change.get("grid", 1.0), dq * change.get("dq", 1.0)
    segments(folder, "AB_1.npz", voltage=grid, cell_id=["8"], cycle=[1], dq_ah=dq)
    with pytest.raises(DataError, match=suspected):
        read_corpus(folder)


def test_what_is_not_listed_is_said(folder):
    segments(folder, "AB_1.npz", voltage=[3.5, 3.6], cell_id=["8", "8.0"], cycle=[1, 2], dq_ah=[[0, 0.1], [0, 0.1]])
    assert read_corpus(folder).notes == ("AB_1.npz: 1 of 2 charge curves are of cells that cells.csv does not list",)


def test_broken_curves_are_left_out_and_counted(folder):
    segments(
        folder,
        "AB_1.npz",
        voltage=[3.5, 3.6, 3.7, 3.8],
        cell_id=["8"] * 3,
        cycle=[1, 2, 3],
        dq_ah=[[0, 0.3, 0.2, 0.5], [0, 0, 0, 0], [0, 0, 0.1, 0.3]],
    )
    fleet = read_corpus(folder)
    assert fleet.notes[-1] == "AB_1.npz: 2 of 3 charge curves are unusable"
    # The third charge starts between 3.6 and 3.7 V: below 3.7 V it says nothing.
    assert list(fleet.charge.cycle) == [3]
    assert fleet.charge.dq_ah[0] == pytest.approx([np.nan, np.nan, 0.1, 0.3], nan_ok=True)


@pytest.mark.parametrize("form", ["equal steps", "times"])
def test_charge_over_time_becomes_a_curve(folder, form):
    # 1 A for an hour from 3.5 to 4.0 V, then constant voltage: 0.02 Ah per 10 mV in the first part.
    time = np.linspace(0.0, 7200.0, 121)
    voltage = np.minimum(3.5 + 0.5 * time / 3600.0, 4.0)
    current = np.where(time <= 3600.0, 1.0, np.exp(-(time - 3600.0) / 900.0))
    if form == "times":
        arrays = {"voltage": voltage[None], "current": current[None], "time_s": time[None]}
    else:
        arrays = {"charge_voltage": voltage[None], "charge_current": current[None], "charge_time_s": [7200.0]}
    segments(folder, "AB_steps.npz", cell_id=["8"], cycle=[1], **arrays)
    charge = read_corpus(folder).charge
    assert (charge.voltage_v[0], charge.voltage_v[-1]) == pytest.approx((3.5, 4.0))
    spec = HealthSpec(window_start_v=3.6, window_end_v=3.7)
    assert increments_from_curve(charge.voltage_v, charge.dq_ah, 2.0, spec) == pytest.approx(
        np.full((1, 10), 0.02 / 2.0), rel=1e-4
    )


def test_says_what_is_missing(folder, tmp_path):
    with pytest.raises(DataError, match=r"no dataset \['TJU'\]; it has \['AB', 'ABC'\]"):
        read_corpus(folder, ["TJU"])
    with pytest.raises(DataError, match="does not exist"):
        read_corpus(tmp_path / "nowhere")
    (folder / "segments" / "AB_broken.npz").write_bytes(b"PK\x03\x04 not really")
    with pytest.raises(DataError, match="AB_broken"):
        read_corpus(folder)
    (folder / "capacity.parquet").write_bytes(b"not parquet")
    with pytest.raises(DataError, match="parquet"):
        read_corpus(folder)


def test_pickled_arrays_are_refused(folder):
    np.savez(folder / "segments" / "AB_bad.npz", cell_id=np.array([{}], dtype=object), cycle=[1])
    with pytest.raises(DataError, match="AB_bad"):
        read_corpus(folder)


@needs_corpus
def test_end_of_life_equals_the_corpus_own_column():
    fleet = read_corpus(CORPUS)
    printed = pd.read_csv(CORPUS / "cells.csv", dtype={"cell_id": str}).set_index(["dataset", "cell_id"])
    spec = HealthSpec()
    for history in fleet.histories():
        found = eol_cycle(history.cycle, history.capacity_ah, history.flagged, 0.8 * history.nominal_ah, spec)
        expected = printed.loc[history.key, "cycle_life_80_nominal"]
        assert found == pytest.approx(expected, nan_ok=True), history.key


@needs_corpus
def test_raw_samples_and_stored_segments_agree():
    """Our counting of charge on Tongji's raw samples against the curves others extracted from them."""
    spec = HealthSpec()
    fleet = read_corpus(CORPUS, ["TJU_NCA"])
    curves = {h.key[1]: h for h in fleet.histories()}
    compared = []
    for cell in read_raw_parquet(CORPUS / "raw" / "TJU_NCA_raw.parquet"):
        history = curves[cell.cell_id]
        stored = increments_from_curve(history.charge_voltage_v, history.charge_dq_ah, history.nominal_ah, spec)
        for number, rows in cell.cycles():
            at = np.flatnonzero(history.charge_cycle == number)
            samples = cell.time_s[rows], cell.voltage_v[rows], cell.current_a[rows]
            ours, _ = charge_increments(*samples, history.nominal_ah, spec)
            if at.size and ours is not None:
                compared.append(ours - stored[at[0]])
    assert len(compared) > 150
    # Stored curves have a point per 11 mV and 5 decimals of Ah; increments are about 0.01.
    assert np.abs(compared).max() < 3e-4
    assert np.sqrt(np.mean(np.square(compared))) < 5e-5
    assert np.sqrt(np.mean(np.square(compared), axis=0))[0] < 1e-4


@needs_corpus
def test_windows_of_the_tongji_cells():
    windows = health_windows(read_corpus(CORPUS, ["TJU_NCA", "TJU_NCM"]))
    assert len(windows) > 10_000
    assert len(windows.cells) > 40
    assert 0.5 < windows.soh.min() < windows.soh.max() < 1.05
