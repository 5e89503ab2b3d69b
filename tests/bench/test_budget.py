"""Does it fit? A model that does not is refused, with by how much and with what would."""

from dataclasses import replace

import pytest

from edgebat.bench import check_budget, reference_net
from edgebat.bench.budget import Limits, Need, family_of, limits_of
from edgebat.bench.nets import random_net
from edgebat.errors import TargetError
from edgebat.graph import save_graph
from edgebat.simulate import list_targets, load_target
from edgebat.simulate.targets import Budget

SMALL = random_net("mlp", (4, 4), (8, 4), 1, name="soh")


def test_a_model_that_fits_says_what_it_takes():
    need = check_budget(SMALL, "cortex-m4f")
    assert str(need) == f"{need.flash:,} bytes of flash, {need.ram:,} bytes of RAM, {need.ms:.3g} ms"
    assert check_budget(SMALL, "cortex-m4f", max_flash=need.flash, max_ram=need.ram, max_ms=need.ms) == need


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ("flash", r"soh does not fit cortex-m4f: flash [\d,]+ bytes, allowed [\d,]+ \(1 too many\)\. What would fit"),
        ("ram", r"soh does not fit cortex-m4f: RAM \d+ bytes, allowed \d+ \(1 too many\)\. What would fit"),
    ],
)
def test_one_byte_too_many_is_refused(limit, message, monkeypatch):
    need = check_budget(SMALL, "cortex-m4f")
    monkeypatch.setattr("edgebat.bench.budget._what_fits", lambda *_: iter(()))
    with pytest.raises(TargetError, match=message):
        check_budget(SMALL, "cortex-m4f", **{f"max_{limit}": getattr(need, limit) - 1})


def test_what_would_fit_is_measured_and_true():
    limit = check_budget(reference_net("mlp"), "cortex-m4f").flash - 300
    with pytest.raises(TargetError, match=r"mlp of \d+-\d+ units: [\d,]+ bytes of flash") as refused:
        check_budget(reference_net("mlp"), "cortex-m4f", max_flash=limit)
    text = str(refused.value)
    units = text.partition("mlp of ")[2].partition(" units: ")
    widths = tuple(map(int, units[0].split("-")))
    need = check_budget(random_net("mlp", (10, 4), widths, 1), "cortex-m4f", max_flash=limit)
    assert units[2].startswith(str(need))


def test_time_counts_with_the_error_of_its_model():
    need = Need(1000, 100, 9.5)
    assert need.excess(Limits(None, None, 10.0)) == []
    assert need.excess(Limits(999, 99, 9.0)) == [
        "flash 1,000 bytes, allowed 999 (1 too many)",
        "RAM 100 bytes, allowed 99 (1 too many)",
        "time 9.5 ms (cycle model, upper end), allowed 9 ms",
    ]
    board = load_target("cortex-m4f")
    exact = replace(board, cycles=replace(board.cycles, error_percent=0))
    assert check_budget(SMALL, board).ms == pytest.approx(check_budget(SMALL, exact).ms * 1.07)


def test_a_time_is_not_judged_where_no_model_is_validated():
    with pytest.raises(TargetError, match=r"cortex-m33 has no validated cycle model, so no time can be checked"):
        check_budget(SMALL, "cortex-m33", max_ms=1.0)
    assert check_budget(SMALL, "cortex-m33").ms is None


def test_a_board_states_what_a_model_may_take():
    board = replace(load_target("cortex-m4f"), flash_bytes=1000, ram_bytes=400, budget=Budget(25, 50, 100))
    assert limits_of(board) == Limits(250, 200, 100)
    assert limits_of(board, max_flash=300, max_ms=5.0) == Limits(300, 200, 5.0)
    assert limits_of(replace(board, budget=None)) == Limits(1000, 400, None)
    assert limits_of(replace(board, budget=None, flash_bytes=0, ram_bytes=0)) == Limits(None, None, None)


@pytest.mark.parametrize("name", [name for name in list_targets() if load_target(name).bare_metal])
def test_every_board_has_a_budget(name):
    board = load_target(name)
    assert limits_of(board).flash < board.flash_bytes
    assert (limits_of(board).ms is not None) == (board.cycles is not None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("budget: {flash_percent: 0}", "flash_percent and ram_percent are 1 to 100"),
        ("budget: {ram_percent: 101}", "flash_percent and ram_percent are 1 to 100"),
        ("budget: {max_ms: 5}", "max_ms needs clock_hz and cycles"),
        ("budget: {flash: 5}", "budget: unknown key flash"),
    ],
)
def test_a_wrong_budget_is_refused(tmp_path, text, message):
    path = tmp_path / "mine.yaml"
    path.write_text(f"name: mine\ndescription: my board\ncore: cortex-m4\nfloat_abi: soft\n{text}\n")
    with pytest.raises(TargetError, match=message):
        load_target(path)


def test_a_computer_has_no_budget():
    with pytest.raises(TargetError, match="target host is a computer"):
        check_budget(SMALL, "host")


@pytest.mark.parametrize(("family", "widths"), [("mlp", (8, 4)), ("cnn", (4, 8)), ("lstm", (4, 8))])
def test_the_family_of_a_graph_is_read_from_its_layers(family, widths):
    assert family_of(random_net(family, (8, 4), widths, 2)) == (family, widths)


def test_export_refuses_before_it_writes(command, tmp_path):
    save_graph(SMALL, tmp_path / "soh.ebat")
    out = tmp_path / "out"
    code, _, err = command("export", tmp_path / "soh.ebat", "-t", "cortex-m4f", "--max-flash", "0.2k", "--out", out)
    assert code == 2
    assert "soh does not fit cortex-m4f: flash" in err
    assert "nothing smaller of the usual families fits either" in err
    assert not out.exists()
    code, text, _ = command("export", tmp_path / "soh.ebat", "-t", "cortex-m4f", "--to", "c", "--out", out)
    assert code == 0
    assert text.startswith("fits cortex-m4f (simulator): ")
    assert (out / "c/soh/soh.c").is_file()
    code, _, err = command("export", tmp_path / "soh.ebat", "--max-ram", "200", "--out", out)
    assert (code, "name it with --target" in err) == (2, True)
