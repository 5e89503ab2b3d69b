"""Public data sets: what is shown first, loading from a server that breaks off, from a copy, and what is refused."""

import hashlib
import io
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from edgebat.assemble.fetch import fetch, find_set, known_sets
from edgebat.errors import DataError

Command = Callable[..., tuple[int, str, str]]
CONTENT = bytes(range(256)) * 4000


def archive(*names: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as opened:
        for name in names:
            opened.writestr(name, f"content of {name}")
    return stream.getvalue()


class Server(BaseHTTPRequestHandler):
    """Serves ``files``; the first answer breaks off in the middle when ``breaks`` is set."""

    files: ClassVar[dict[str, bytes]] = {}
    breaks = False
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        content = self.files.get(self.path.lstrip("/"))
        Server.asked.append(self.headers.get("Range", ""))
        if content is None:
            self.send_error(404)
            return
        first = int(self.headers.get("Range", "bytes=0-")[6:].rstrip("-"))
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(content) - first))
        self.end_headers()
        half, Server.breaks = Server.breaks, False
        self.wfile.write(content[first : len(content) // 2] if half else content[first:])

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[str]:
    Server.files, Server.breaks, Server.asked = (
        {"a.bin": CONTENT, "b.zip": archive("cell7/one.csv", "two.csv")},
        False,
        [],
    )
    running = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{running.server_port}"
    running.shutdown()
    thread.join()
    running.server_close()


def registry(folder: Path, address: str, **about: str) -> Path:
    lines = [
        "own:",
        "  about: two files",
        "  page: http://nowhere",
        "  licence: CC0",
        "  citation: nobody (2025)",
        "  files:",
    ]
    for name in ("a.bin", "b.zip"):
        mark = f', sha256: "{about[name]}"' if name in about else ""
        lines.append(f'    - {{name: {name}, address: "{address}/{name}"{mark}}}')
    (folder / "sets.yaml").write_text("\n".join(lines) + "\n")
    return folder / "sets.yaml"


def test_licence_citation_checksum_and_source_are_shown_and_nothing_is_loaded_without_yes(
    command: Command, server: str, tmp_path: Path
) -> None:
    sets = registry(tmp_path, server, **{"a.bin": hashlib.sha256(CONTENT).hexdigest()})
    code, out, _ = command("data", "fetch", "own", "--registry", sets, "--to", tmp_path / "own")
    assert code == 2
    for shown in (
        "CC0",
        "nobody (2025)",
        "http://nowhere",
        hashlib.sha256(CONTENT).hexdigest(),
        "no checksum published",
    ):
        assert shown in out
    assert not (tmp_path / "own").exists()
    assert Server.asked == []
    code, out, _ = command("data", "fetch", "own", "--registry", sets, "--to", tmp_path / "own", "--yes")
    assert code == 0
    assert (tmp_path / "own/a.bin").read_bytes() == CONTENT
    assert (tmp_path / "own/b/cell7/one.csv").read_text() == "content of cell7/one.csv"
    assert f"next: edgebat data add {tmp_path / 'own'}" in out


def test_a_download_that_breaks_off_goes_on(server: str, tmp_path: Path) -> None:
    chosen = find_set("own", registry(tmp_path, server))
    Server.breaks = True
    with pytest.raises(DataError, match=r"could not be loaded .*the same command goes on"):
        fetch(chosen, tmp_path / "own")
    assert (tmp_path / "own/a.bin.part").stat().st_size == len(CONTENT) // 2
    fetch(chosen, tmp_path / "own")
    assert Server.asked[1] == f"bytes={len(CONTENT) // 2}-"
    assert (tmp_path / "own/a.bin").read_bytes() == CONTENT
    asked = len(Server.asked)
    fetch(chosen, tmp_path / "own")
    assert len(Server.asked) == asked


def test_a_copy_serves_as_well_and_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "a.bin").write_bytes(CONTENT)
    (copy / "b.zip").write_bytes(archive("x.csv"))
    found = fetch(find_set("own", registry(tmp_path, "http://nowhere")), tmp_path / "own", str(copy))
    assert [path.name for path in found] == ["a.bin", "x.csv"]
    wrong = registry(tmp_path, "http://nowhere", **{"a.bin": "0" * 64})
    with pytest.raises(DataError, match="the registry says 000"):
        fetch(find_set("own", wrong), tmp_path / "other", str(copy))
    assert (tmp_path / "other/a.bin.wrong").is_file()


def test_what_cannot_be_had_says_what_to_do(server: str, tmp_path: Path) -> None:
    Server.files.pop("a.bin")
    with pytest.raises(DataError, match=r"answers 404 .* --from"):
        fetch(find_set("own", registry(tmp_path, server)), tmp_path / "own")
    with pytest.raises(DataError, match="is no address of the web"):
        fetch(find_set("own", registry(tmp_path, "file:///etc")), tmp_path / "own")
    with pytest.raises(DataError, match=r"load it from https://data.matr.io/1/ .*--from FOLDER"):
        fetch(find_set("matr"), tmp_path / "matr")
    with pytest.raises(DataError, match="known are calce-cs2"):
        find_set("nothing")


def test_an_archive_that_leads_out_of_its_folder_is_refused(server: str, tmp_path: Path) -> None:
    Server.files["b.zip"] = archive("../../outside.csv")
    with pytest.raises(DataError, match="leads out of its folder"):
        fetch(find_set("own", registry(tmp_path, server)), tmp_path / "own")
    assert not (tmp_path / "outside.csv").exists()


def test_every_shipped_set_states_licence_citation_and_page() -> None:
    for known in known_sets().values():
        assert known.licence
        assert known.citation
        assert known.page.startswith("https://")
