"""Public data sets: what is shown first, loading from a server that breaks off, from a copy, and what is refused."""

import contextlib
import hashlib
import io
import json
import shutil
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from edgebat.assemble.fetch import fetch
from edgebat.assemble.public_sets import find_set, known_sets
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
    """Serves ``files``, and other files under ``/moved/NAME``; what else a server may do is set by a test."""

    files: ClassVar[dict[str, bytes]] = {}
    breaks = False
    """The next answer breaks off in the middle."""
    silent_of_length = False
    """Answers do not say how long they are, and end with the connection."""
    resumes = True
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        if self.path.startswith("/moved/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/moved"))
            self.end_headers()
            return
        content = self.files.get(self.path.lstrip("/"))
        Server.asked.append(self.headers.get("Range", ""))
        if content is None:
            self.send_error(404)
            return
        tag = hashlib.sha256(content).hexdigest()
        first = int(self.headers.get("Range", "bytes=0-")[6:].rstrip("-"))
        if not self.resumes or self.headers.get("If-Range", tag) != tag:
            first = 0
        if first >= len(content):
            self.send_error(416)
            return
        # Before the answer begins: a client that does not wait for its end may be asking again meanwhile.
        half, Server.breaks = Server.breaks, False
        self.send_response(206 if first else 200)
        if not self.silent_of_length:
            self.send_header("Content-Length", str(len(content) - first))
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        self.send_header("ETag", tag)
        self.end_headers()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # a client may have enough
            self.wfile.write(content[first : len(content) // 2] if half else content[first:])

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[str]:
    Server.files = {"a.bin": CONTENT, "b.zip": archive("cell7/one.csv", "two.csv")}
    Server.breaks, Server.silent_of_length, Server.resumes, Server.asked = False, False, True, []
    running = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=running.serve_forever, args=(0.01,))
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
        mark = f', {about.get("kind", "sha256")}: "{about[name]}"' if name in about else ""
        mark += f", bytes: {about['bytes']}" if name == "a.bin" and "bytes" in about else ""
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
    with pytest.raises(DataError, match=r"load it from https://zenodo.org/records/18646655 .*--from FOLDER"):
        fetch(find_set("batterylife"), tmp_path / "batterylife")
    with pytest.raises(DataError, match="known are calce-cs2"):
        find_set("nothing")


def test_an_archive_that_leads_out_of_its_folder_is_refused(server: str, tmp_path: Path) -> None:
    Server.files["b.zip"] = archive("../../outside.csv")
    with pytest.raises(DataError, match="leads out of its folder"):
        fetch(find_set("own", registry(tmp_path, server)), tmp_path / "own")
    assert not (tmp_path / "outside.csv").exists()


def test_a_file_that_changed_between_two_pieces_is_loaded_anew(server: str, tmp_path: Path) -> None:
    chosen = find_set("own", registry(tmp_path, server))
    Server.breaks = True
    with pytest.raises(DataError):
        fetch(chosen, tmp_path / "own")
    Server.files["a.bin"] = CONTENT[::-1]
    fetch(chosen, tmp_path / "own")
    assert (tmp_path / "own/a.bin").read_bytes() == CONTENT[::-1]


def test_a_server_that_cannot_go_on_sends_all_of_it(server: str, tmp_path: Path) -> None:
    chosen = find_set("own", registry(tmp_path, server))
    Server.breaks, Server.resumes = True, False
    with pytest.raises(DataError):
        fetch(chosen, tmp_path / "own")
    fetch(chosen, tmp_path / "own")
    assert (tmp_path / "own/a.bin").read_bytes() == CONTENT


def test_half_a_file_is_never_taken_for_all_of_it(server: str, tmp_path: Path) -> None:
    Server.silent_of_length = True
    with pytest.raises(DataError, match=r"does not say how long it is"):
        fetch(find_set("own", registry(tmp_path, server)), tmp_path / "own")
    sized = registry(tmp_path, server, bytes=str(len(CONTENT)))
    Server.breaks = True
    with pytest.raises(DataError, match=r"512,000 of 1,024,000 bytes came"):
        fetch(find_set("own", sized), tmp_path / "own")
    assert not (tmp_path / "own/a.bin").exists()
    Server.silent_of_length = False
    with pytest.raises(DataError, match=r"a.bin has 1,024,000 bytes, the registry says 7"):
        fetch(find_set("own", registry(tmp_path, server, bytes="7")), tmp_path / "other")


def test_what_is_no_beginning_of_the_file_is_deleted(server: str, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own/a.bin.part").write_bytes(CONTENT + b"more")
    chosen = find_set("own", registry(tmp_path, server))
    with pytest.raises(DataError, match=r"run the same command again"):
        fetch(chosen, tmp_path / "own")
    assert fetch(chosen, tmp_path / "own")[0].read_bytes() == CONTENT


def test_an_address_that_moved_is_followed(server: str, tmp_path: Path) -> None:
    chosen = find_set("own", registry(tmp_path, f"{server}/moved"))
    Server.breaks = True
    with pytest.raises(DataError):
        fetch(chosen, tmp_path / "own")
    fetch(chosen, tmp_path / "own")
    assert f"bytes={len(CONTENT) // 2}-" in Server.asked
    assert (tmp_path / "own/a.bin").read_bytes() == CONTENT


def test_a_small_disk_is_seen_before_anything_is_written(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9 - 10**6, 10**6))
    with pytest.raises(DataError, match=r"needs 1 MB, the disk of .* has 1 MB; free some, or .* --to"):
        fetch(find_set("own", registry(tmp_path, server)), tmp_path / "own")
    assert not list((tmp_path / "own").glob("a.bin*"))


def test_an_unpublished_checksum_is_found_shown_and_pinned(command: Command, server: str, tmp_path: Path) -> None:
    sets = registry(tmp_path, server)
    mark = hashlib.sha256(CONTENT).hexdigest()
    again = ("data", "fetch", "own", "--registry", sets, "--to", tmp_path / "own", "--yes")
    _, out, _ = command(*again)
    assert f"a.bin: no checksum is published; found sha256 {mark}, pinned in {tmp_path / 'own/.fetched.json'}" in out
    assert f"sha256 {mark} (pinned by an earlier fetch)" in command(*again[:-1])[1]
    record = json.loads((tmp_path / "own/.fetched.json").read_text())
    assert record["licence"] == "CC0"
    assert record["files"]["a.bin"]["origin"] == f"{server}/a.bin"
    (tmp_path / "own/a.bin").unlink()
    Server.files["a.bin"] = CONTENT[::-1]
    code, _, err = command(*again)
    assert code == 2
    assert f"an earlier fetch found {mark}" in err
    assert not (tmp_path / "own/a.bin").exists()


@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_a_published_checksum_is_held_to(kind: str, server: str, tmp_path: Path) -> None:
    right = registry(tmp_path, server, **{"a.bin": hashlib.new(kind, CONTENT).hexdigest(), "kind": kind})
    fetch(find_set("own", right), tmp_path / "own")
    Server.files["a.bin"] = CONTENT[:-1] + b"?"
    with pytest.raises(DataError, match=rf"a.bin has {kind} .*, the registry says .* kept as a.bin.wrong"):
        fetch(find_set("own", right), tmp_path / "other")
    assert not (tmp_path / "other/a.bin").exists()


def test_a_checksum_of_the_user_is_held_to(command: Command, server: str, tmp_path: Path) -> None:
    sets = registry(tmp_path, server)
    asked = ("data", "fetch", "own", "--registry", sets, "--to", tmp_path / "own", "--yes", "--sha256")
    for given, wrong in ((f"a.bin={'0' * 64}", "--sha256 says 000"), ("0" * 64, "which file"), ("a.bin=12", "is no sha256"),
                         (f"c.bin={'0' * 64}", "names c.bin")):  # fmt: skip
        code, _, err = command(*asked, given)
        assert code == 2
        assert wrong in err
    assert command(*asked, f"a.bin={hashlib.sha256(CONTENT).hexdigest()}")[0] == 0
    listed = find_set("own", registry(tmp_path, server, **{"a.bin": "0" * 64}))
    with pytest.raises(DataError, match=r"--sha256 gives 111.* the registry says 000"):
        fetch(listed, tmp_path / "own", sha256={"a.bin": "1" * 64})


def test_one_file_is_no_copy_of_two(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(CONTENT)
    with pytest.raises(DataError, match=r"is one file, needed are a.bin, b.zip; give their folder"):
        fetch(find_set("own", registry(tmp_path, "http://nowhere")), tmp_path / "own", str(tmp_path / "a.bin"))


def test_archives_in_archives_are_unpacked_too(server: str, tmp_path: Path) -> None:
    outer = io.BytesIO()
    with zipfile.ZipFile(outer, "w") as opened:
        opened.writestr("set/inner.zip", archive("cell7.csv"))
    Server.files["b.zip"] = outer.getvalue()
    chosen = find_set("own", registry(tmp_path, server))
    for _ in range(2):
        found = fetch(chosen, tmp_path / "own")
        assert [path.relative_to(tmp_path / "own").as_posix() for path in found] == ["a.bin", "b/set/inner/cell7.csv"]
        assert found[1].read_text() == "content of cell7.csv"


def test_a_damaged_archive_says_what_to_do(server: str, tmp_path: Path) -> None:
    whole = archive("one.csv", "two.csv")
    Server.files["b.zip"] = whole.replace(b"content of two.csv", b"content of TWO.csv")
    with pytest.raises(DataError, match=r"can be unpacked .*Bad CRC-32.* delete it and run the command again"):
        fetch(find_set("own", registry(tmp_path, server)), tmp_path / "own")
    assert not (tmp_path / "own/b/two.csv").exists()


def test_fetch_speaks_json(command: Command, server: str, tmp_path: Path) -> None:
    _, out, _ = command("data", "fetch", "--json")
    assert {"name", "licence", "citation", "page", "files"} <= json.loads(out)[0].keys()
    sets = registry(tmp_path, server)
    _, out, err = command("data", "fetch", "own", "--registry", sets, "--to", tmp_path / "own", "--yes", "--json")
    assert json.loads(out)["sha256"]["a.bin"] == hashlib.sha256(CONTENT).hexdigest()
    assert "CC0" in err


def test_every_shipped_checksum_says_who_states_it() -> None:
    for known in known_sets().values():
        for file in known.files:
            assert len(file.sha256) in (0, 64)
            assert len(file.md5) in (0, 32)
            assert bool(file.sha256 or file.md5) == bool(file.stated_by)
            assert file.address.startswith("https://")


def test_every_shipped_set_states_licence_citation_and_page() -> None:
    for known in known_sets().values():
        assert known.licence
        assert known.citation
        assert known.page.startswith("https://")
