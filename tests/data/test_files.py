"""Errors, extras and files: what every other part leans on."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import pytest

from edgebat import errors
from edgebat.files import atomic_write, sha256_bytes, sha256_file


def test_one_base_for_all_errors():
    kinds = [v for v in vars(errors).values() if isinstance(v, type) and issubclass(v, Exception)]
    assert len(kinds) == 10
    assert all(issubclass(kind, errors.EdgebatError) for kind in kinds)


def test_missing_package_names_the_pip_command():
    with pytest.raises(errors.MissingExtra, match=r'no_such_package.*pip install "edgebat\[train\]"'):
        errors.require("no_such_package.part", extra="train")
    assert errors.require("json", extra="train").__name__ == "json"


def test_a_broken_package_is_not_called_missing(tmp_path, monkeypatch):
    (tmp_path / "broken_package.py").write_text("import something_else_that_is_absent\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match="something_else_that_is_absent"):
        errors.require("broken_package", extra="train")


def test_file_is_whole_or_untouched(tmp_path, monkeypatch):
    path = tmp_path / "new" / "folder" / "file.txt"
    atomic_write(path, "first ×\n")
    assert path.read_bytes() == "first ×\n".encode()

    def no_rename(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", no_rename)
    with pytest.raises(OSError, match="disk full"):
        atomic_write(path, b"second")
    assert path.read_bytes() == "first ×\n".encode()
    assert [p.name for p in path.parent.iterdir()] == ["file.txt"]


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_file_mode_follows_umask(tmp_path):
    old = os.umask(0o027)
    try:
        atomic_write(tmp_path / "file", b"")
    finally:
        os.umask(old)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_sha256(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, appendix B.1
    assert sha256_file(tmp_path / "file") == sha256_bytes(b"abc") == hashlib.sha256(b"abc").hexdigest() == known


def test_readers_and_features_need_numpy_only():
    code = (
        "import sys\n"
        "for name in ('pandas', 'pyarrow', 'torch', 'onnx', 'yaml', 'pydantic'): sys.modules[name] = None\n"
        "import edgebat.tasks.health.windows, edgebat.data.readers\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
