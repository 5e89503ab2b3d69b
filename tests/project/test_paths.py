"""Recipes, targets and C sources are found in a checkout and in an installed package."""

import tomllib
from pathlib import Path

import pytest

from edgebat import paths

ROOT = Path(__file__).parents[2]


def test_a_checkout_has_them_beside_the_package() -> None:
    assert (paths.recipes_dir() / "demo.yaml").is_file()
    assert (paths.targets_dir() / "host.yaml").is_file()
    assert (paths.firmware_dir() / "include").is_dir()


def test_a_wheel_has_them_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "edgebat" / "_share" / "export" / "recipes").mkdir(parents=True)
    monkeypatch.setattr(paths, "_PACKAGE", tmp_path / "edgebat")
    assert paths.recipes_dir() == tmp_path / "edgebat" / "_share" / "export" / "recipes"


def test_the_corpus_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEBAT_CORPUS", "/somewhere")
    assert paths.default_corpus() == Path("/somewhere")
    monkeypatch.setenv("EDGEBAT_CORPUS", "")
    assert paths.default_corpus() is None


def test_the_wheel_takes_what_the_code_looks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    carried = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    for source, place in carried.items():
        assert (ROOT / source).exists(), source
        assert place == f"edgebat/_share/{source}"
    for shipped in ("recipes", "targets", "zoo/students"):
        assert f"export/{shipped}" in carried
    assert {"firmware_stubs/include", "firmware_stubs/src", "firmware_stubs/ports"} <= set(carried)
    assert not [source for source in carried if (ROOT / "export/zoo/teachers").is_relative_to(ROOT / source)]
