"""Text files to tables: encoding, delimiter, decimal mark, row of names and row of units are found, and listed as guesses.

With pyarrow (extra ``data``) large files are parsed by it; without, by the csv module, with the same result.
"""

from __future__ import annotations

import csv
import gzip
import importlib.util
import io
import re
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgebat.data.readers.ambiguous import AmbiguousFile
from edgebat.data.readers.decimals import find_decimal
from edgebat.data.readers.names import UNITS, roles_in, unit_key
from edgebat.data.readers.nested import flatten, nested_headers
from edgebat.data.readers.profiles import DELIMITERS, Profile
from edgebat.data.readers.table import NO_VALUE, Column, Table, column_of, texts_to_column, to_number
from edgebat.errors import DataError

MAX_BYTES = 4 << 30
SNIFFED_LINES = 400
SNIFFED_BYTES = 1 << 19
MAX_QUOTED = 500
"""Bytes of a line within which a quoted break is looked for."""
TABLE_DELIMITERS = (",", ";", "\t", "|")
"""Tried where nobody names one; a space only where they find nothing."""
UNKNOWN = "cp1252"
"""Taken for what is neither UTF-8 nor Chinese."""
CHINESE = ("电压", "电流", "循环", "工步")
"""Voltage, current, cycle, step: words by which a Chinese export is known."""
MAX_RAGGED = 0.02
"""Share of rows with another number of values than the rest above which a file is refused."""


def read_bytes(path: Path) -> bytes:
    """What is in the file, or in a ``.gz`` or ``.zip`` of one file. Raises DataError."""
    try:
        data = path.read_bytes() if path.stat().st_size <= MAX_BYTES else None
        if data is not None and data[:2] == b"\x1f\x8b":
            with gzip.open(path) as stream:
                data = stream.read(MAX_BYTES + 1)
        elif data is not None and data[:4] == b"PK\x03\x04":
            with zipfile.ZipFile(path) as archive:
                members = [entry for entry in archive.infolist() if not entry.is_dir()]
                if len(members) != 1:
                    raise DataError(f"{path.name} holds {len(members)} files; unpack it and read them one by one")
                data = archive.read(members[0]) if members[0].file_size <= MAX_BYTES else None
    except (OSError, EOFError, zipfile.BadZipFile, zipfile.LargeZipFile) as error:
        raise DataError(f"{path} cannot be opened: {getattr(error, 'strerror', None) or error}") from None
    if data is None or len(data) > MAX_BYTES:
        raise DataError(f"{path.name} is larger than {MAX_BYTES >> 30} GiB; split it, and read the parts as one cell")
    return data


def read_text(path: Path, profile: Profile, named: tuple[str, ...] = ()) -> Table:
    """The table in a text file. named: column names the user has given. Raises DataError, AmbiguousFile."""
    data, encoding = _decode(read_bytes(path), path, profile)
    stated = re.match(rb"[^\n]*\nNb header lines\s*:\s*(\d+)", data)  # BioLogic's, of any length
    lines, ends = _first_lines(data, SNIFFED_LINES + int(stated[1] if stated else 0))
    if not any(line.strip() for line in lines):
        raise DataError(f"{path} is empty")
    first = next(line for line in lines if line.strip()).strip().lower()
    if first.startswith(("{", "[{", "<html", "<table", "<?xml", "<!doctype")):
        kind = "JSON" if first[0] in "{[" else "HTML or XML"
        raise DataError(f"{path.name} is {kind}, which is not read; export it as CSV or as a spreadsheet (.xlsx)")
    try:
        delimiter, header = find_header(lines, profile, named, path)
    except AmbiguousFile as error:
        if encoding != UNKNOWN:
            raise
        hint = "the text is no UTF-8; if letters look wrong, say its encoding: --set encoding=shift_jis, cp1251, ..."
        raise AmbiguousFile(path, *error.questions, hint) from None
    rows = [split_line(line, delimiter) for line in lines]
    guesses = [] if encoding == "utf-8" else [f"encoding {encoding}"]
    if nested_headers(rows):
        return flatten(list(csv.reader(io.StringIO(data.decode("utf-8")), delimiter=delimiter)), tuple(guesses))
    units, last = units_row(rows, header)
    sample = [row for row in rows[last + 1 :] if any(row)]
    if not sample:
        raise DataError(f"{path} has a header and no rows")
    names = _match_width(completed(rows, header, named), sample, delimiter, path)
    known = [index for index, name in enumerate(names) if roles_in([name], named)] or list(range(len(names)))
    decimal = profile.decimal or find_decimal([[row[i] for i in known if i < len(row)] for row in sample], path)
    if delimiter != "," or decimal != ".":
        guesses.append(f"delimiter {delimiter!r}{', decimal comma' if decimal == ',' else ''}")
    if header:
        guesses.append(f"column names in line {header + 1}")
    if units:
        guesses.append("units in the line below them")
    notes: list[str] = []
    body = _without_cut_line(data[ends[last] :], delimiter, len(names), notes)
    backend = _Arrow if importlib.util.find_spec("pyarrow") else _Plain
    source = backend(path, body, delimiter, decimal, len(names), last + 2, sample, notes)
    return Table(tuple(names), source, units, facts=facts_of(rows[:header]), guesses=tuple(guesses))


def first_row(path: Path) -> list[str]:
    """The comma-separated values of the first line; empty for a file that is no text. Raises DataError."""
    try:
        with path.open("rb") as stream:
            return split_line(stream.readline(1 << 16).decode("utf-8-sig"), ",")
    except UnicodeDecodeError:
        return []
    except OSError as error:
        raise DataError(f"{path} cannot be opened: {error.strerror}") from None


def column_names(text: str) -> list[str]:
    """The names of a table of samples in the beginning of a text, of any layout; none where no line names a voltage."""
    if text.lstrip().startswith(("{", "[{", "<")):
        return []
    lines = [line for line in text.splitlines()[:SNIFFED_LINES] if line.strip()]
    found = _best_header(lines, TABLE_DELIMITERS, ())
    if found is None:
        return []
    names, *below = (split_line(line, found[0]) for line in lines[found[1] : found[1] + 3])
    # Prose and programs name voltages too, but no numbers stand below in as many columns.
    sampled = any(len(row) == len(names) and any(re.match(r"[+-]?\d", value) for value in row) for row in below)
    return names if sampled and "voltage" in roles_in(names) else []


def _decode(data: bytes, path: Path, profile: Profile) -> tuple[bytes, str]:
    """The file as UTF-8 without byte order mark, with unused space at its end cut off; and the encoding it had."""
    encoding = profile.encoding
    if not encoding:
        marks = {
            b"\xff\xfe\0\0": "utf-32", b"\0\0\xfe\xff": "utf-32", b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16",
            b"\xfe\xff": "utf-16",
        }  # fmt: skip
        encoding = next((name for mark, name in marks.items() if data.startswith(mark)), "")
    if not encoding and data[:200].count(b"\0") > len(data[:200]) // 4:
        encoding = "utf-16-le" if data[1:2] == b"\0" else "utf-16-be"
    if not encoding.startswith(("utf-16", "utf-32")):
        data = data.rstrip(b"\0")
    try:
        if not encoding and data.isascii():
            return _one_line_end(data), "utf-8"
        text = data.decode(encoding or "utf-8")
        encoding = "utf-8" if encoding in ("", "utf-8-sig") else encoding
    except (UnicodeDecodeError, LookupError) as error:
        if encoding:
            raise DataError(f"{path.name} is no text in the encoding {encoding}: {error}") from None
        chinese = any(word in data[:SNIFFED_BYTES].decode("gb18030", "ignore") for word in CHINESE)
        encoding = "gb18030" if chinese else UNKNOWN
        text = data.decode(encoding, errors="replace")
    if "\0" in text:
        raise DataError(f"{path.name} is no text file; export it from the cycler's program as text or spreadsheet")
    return _one_line_end(text.encode()), encoding


def _one_line_end(data: bytes) -> bytes:
    return data if b"\r" not in data else data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _first_lines(data: bytes, most: int) -> tuple[list[str], list[int]]:
    """The first lines, and where each ends (the first byte of the next). A break between quotes ends no line."""
    lines, ends, at = list[str](), list[int](), 0
    while len(lines) < most and at < min(len(data), SNIFFED_BYTES):
        end = data.find(b"\n", at)
        while 0 <= end < at + MAX_QUOTED and data.count(b'"', at, end) % 2:
            end = data.find(b"\n", end + 1)
        if end < 0:
            end = len(data)
        lines.append(data[at:end].decode("utf-8").replace("\n", " "))
        at = end + 1
        ends.append(at)
    return lines, ends


def split_line(line: str, delimiter: str) -> list[str]:
    """The values of one line, without spaces around them."""
    if delimiter == " ":
        return line.split()
    try:
        return [text.strip() for text in next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])]
    except csv.Error:
        return line.split(delimiter)


def find_header(lines: Sequence[str], profile: Profile, named: tuple[str, ...], path: Path) -> tuple[str, int]:
    """Delimiter and index of the line with the column names: the one that names most quantities. Raises AmbiguousFile."""
    given = DELIMITERS.get(profile.delimiter, profile.delimiter)
    delimiters = [given] if given else list(TABLE_DELIMITERS)
    if profile.header_row:
        row = profile.header_row - 1
        if row >= len(lines):
            raise DataError(f"{path.name} has {len(lines)} lines; header_row is {profile.header_row}")
        return max(delimiters, key=lambda d: len(split_line(lines[row], d))), row
    best = _best_header(lines, delimiters, named) or (_best_header(lines, [" "], named) if not given else None)
    if best is None:
        seen = next((line for line in lines if len(re.findall(r"[,;\t|]", line)) > 1), lines[0])
        raise AmbiguousFile(
            path,
            f"no line names a voltage and a current; the first line of a table is {seen[:200]!r}. Say which column is "
            "which, for example --set time=t --set voltage=U --set current=I, or the line with the names: "
            "--set header_row=3",
        )
    return best


def _best_header(lines: Sequence[str], delimiters: Sequence[str], named: tuple[str, ...]) -> tuple[str, int] | None:
    """Of lines that name as much the first one, and the delimiter that leaves it most columns."""
    best, most = None, (0, 0, 0)
    for row, line in enumerate(lines):
        for delimiter in delimiters:
            fields = split_line(line, delimiter)
            found = roles_in(fields, named) if len(fields) > 1 else set()
            given = any(role.startswith("'") for role in found)
            if given or (len(found) > 1 and {"voltage", "current"} & found):
                key = (len(found), -row, len(fields))
                best, most = ((delimiter, row), key) if key > most else (best, most)
    return best


def units_row(rows: Sequence[Sequence[str]], header: int) -> tuple[tuple[str, ...], int]:
    """The units in the line below the names (empty for none), and the index of the last line of the header."""
    below = next((i for i in range(header + 1, len(rows)) if any(rows[i])), None)
    if below is None:
        return (), header
    texts = [text.strip("[]() ") for text in rows[below]]
    known = {unit for units in UNITS.values() for unit in units}
    count = sum(unit_key(text) in known for text in texts if text)
    if count and not any(re.match(r"[+-]?\d", text) for text in texts):
        return tuple(texts), below
    return (), header


def completed(rows: Sequence[list[str]], header: int, named: tuple[str, ...] = ()) -> list[str]:
    """The names, those that name nothing by the row above where that does: of a row of devices above one of quantities."""
    names, above = rows[header], rows[header - 1] if header else []
    if len(above) != len(names):
        return names
    return [b if not roles_in([a], named) and roles_in([b], named) else a for a, b in zip(names, above, strict=True)]


def _match_width(names: list[str], sample: list[list[str]], delimiter: str, path: Path) -> list[str]:
    """The names, as many as rows have values. Raises DataError where that cannot be without a guess."""
    width = Counter(map(len, sample)).most_common(1)[0][0]
    while len(names) > width and not names[-1]:
        names = names[:-1]
    extra = [row[len(names) :] for row in sample if len(row) == width]
    if width > len(names) and not any(any(values) for values in extra):
        return names + [""] * (width - len(names))
    if width != len(names):
        commas = "; values with a decimal comma between commas cannot be told apart" if delimiter == "," else ""
        raise DataError(
            f"{path.name}: rows have {width} values and the header {len(names)} names ({', '.join(names)}){commas}. "
            "Export it with semicolons or tabs, or with texts in quotes, or say --set delimiter=... --set header_row=..."
        )
    return names


def _without_cut_line(body: bytes, delimiter: str, width: int, notes: list[str]) -> bytes:
    """The rows without a last one that was cut off while it was written."""
    if body.endswith(b"\n") or not body:
        return body
    previous, _, last = body.rstrip().rpartition(b"\n")
    fields = split_line(last.decode("utf-8", "replace"), delimiter)
    before = split_line(previous[previous.rfind(b"\n") + 1 :].decode("utf-8", "replace"), delimiter)
    if previous and (len(fields) < width or len(fields[-1]) < len(before[-1])):
        notes.append(f"half a last line: {last.decode('utf-8', 'replace')[:60]!r}")
        return previous + b"\n"
    return body


def facts_of(rows: Sequence[Sequence[str]]) -> dict[str, str]:
    """What the lines above the header state, by lower-case key: "key: value", or key and value in two columns."""
    facts: dict[str, str] = {}
    for row in rows:
        cells = [cell.strip() for cell in row]
        for at, cell in enumerate(cells):
            key, colon, value = cell.partition(":")
            key = key.strip().lower().lstrip("~# ")
            if not value.strip() and at + 1 < len(cells):
                value = ", ".join(filter(None, cells[at + 1 :])) if len(cells) == 2 or at == 0 else cells[at + 1]
            if key and value.strip() and (colon or at == 0):
                facts.setdefault(key, value.strip())
    return facts


def _plain_number(texts: Sequence[str], decimal: str) -> bool:
    """Whether all texts that are there are numbers that any parser reads the same."""
    pattern = re.compile(rf"-?\d*{re.escape(decimal)}?\d*(?:[eE][+-]?\d+)?")
    present = [text for text in texts if text.lower() not in NO_VALUE]
    return bool(present) and all(pattern.fullmatch(text) for text in present)


@dataclass
class _Plain:
    """Rows by the csv module."""

    path: Path
    body: bytes
    delimiter: str
    decimal: str
    width: int
    first_line: int
    sample: list[list[str]]
    notes: list[str]

    def load(self, wanted: Sequence[int]) -> dict[int, Column]:
        """See Source."""
        text = self.body.decode("utf-8")
        rows = (line.split() for line in text.split("\n")) if self.delimiter == " " else csv.reader(
            io.StringIO(text), delimiter=self.delimiter, skipinitialspace=True)  # fmt: skip
        columns: dict[int, list[str]] = {index: [] for index in wanted}
        appends = [(index, columns[index].append) for index in columns]
        ragged, count = [], 0
        try:
            for number, row in enumerate(rows, self.first_line):
                if not row:
                    continue
                count += 1
                if len(row) != self.width:
                    ragged.append((number, self.delimiter.join(row)))
                    continue
                for index, append in appends:
                    append(row[index])
        except csv.Error as error:
            raise DataError(f"{self.path} cannot be read as a table: {error}") from None
        self.check(ragged, count)
        return {index: texts_to_column(texts, self.decimal) for index, texts in columns.items()}

    def check(self, ragged: list[tuple[int, str]], rows: int) -> None:
        """Note rows with another number of values, and refuse a file with many."""
        if not ragged:
            return
        at = f"line {ragged[0][0]}: " if ragged[0][0] else ""
        first = f"{at}{ragged[0][1][:80]!r}"
        if len(ragged) > max(3, MAX_RAGGED * rows):
            raise DataError(
                f"{self.path.name}: {len(ragged)} of {rows} rows do not have the {self.width} values of the header, first "
                f"{first}. Export it with semicolons or tabs, or with texts in quotes, or say --set delimiter=..."
            )
        self.notes.append(f"{len(ragged)} rows with another number of values, first {first}")


class _Arrow(_Plain):
    """The same by pyarrow: several times faster."""

    def load(self, wanted: Sequence[int]) -> dict[int, Column]:
        """See Source."""
        if self.delimiter == " ":
            return super().load(wanted)
        import pyarrow as pa

        types = {index: self._kind([row[index] for row in self.sample if len(row) == self.width]) for index in wanted}
        ragged: list[str] = []
        table = None
        while table is None:
            ragged.clear()
            try:
                table = self._read({str(index): kind for index, kind in types.items()}, ragged)
            except pa.ArrowInvalid as error:
                # Below the first rows stands a text: that column is read with more patience.
                named = re.search(r"CSV column #(\d+)", str(error))
                if named is None or types.get(int(named[1]), pa.string()) == pa.string():
                    raise DataError(f"{self.path} cannot be read as a table: {error}") from None
                types[int(named[1])] = pa.string()
        self.check([(0, text) for text in ragged], len(table) + len(ragged))
        return {index: self._column(table.column(str(index))) for index in wanted}

    def _read(self, types: dict[str, Any], ragged: list[str]) -> Any:
        import pyarrow as pa
        from pyarrow import csv as arrow

        def skip(row: Any) -> str:
            ragged.append(row.text)
            return "skip"

        names = [str(index) for index in range(self.width)]
        convert = arrow.ConvertOptions(
            column_types=types,
            include_columns=list(types),
            decimal_point=self.decimal,
            null_values=["", "NaN", "nan", "NA", "null", "-"],
            strings_can_be_null=False,
        )
        parse = arrow.ParseOptions(delimiter=self.delimiter, invalid_row_handler=skip)
        return arrow.read_csv(pa.BufferReader(self.body), arrow.ReadOptions(column_names=names), parse, convert)

    def _kind(self, texts: list[str]) -> Any:
        import pyarrow as pa

        if _plain_number(texts, self.decimal):
            return pa.float64()
        iso = all(re.fullmatch(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d{1,6})?", text) for text in texts)
        return pa.timestamp("us") if iso and texts else pa.string()

    def _column(self, values: Any) -> Column:
        import pyarrow as pa

        if values.type == pa.string():
            return self._few_texts(values) or texts_to_column(values.to_pylist(), self.decimal)
        if values.null_count:
            return column_of(values.to_numpy())
        # to_numpy would import pandas, which takes longer than most files.
        parts = [np.from_dlpack(chunk.view(pa.int64())) for chunk in values.chunks]
        whole = np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)
        return Column(whole.view(np.float64 if values.type == pa.float64() else "datetime64[us]"))

    def _few_texts(self, values: Any) -> Column | None:
        """A column of numbers with few other values; None for one of texts."""
        import pyarrow as pa
        from pyarrow import compute

        plain = compute.match_substring_regex(values, r"^-?\d+(\.\d+)?([eE][+-]?\d+)?$")
        odd = np.flatnonzero(~plain.to_numpy())
        if self.decimal != "." or odd.size > 0.05 * len(values):
            return None
        numbers = compute.if_else(plain, values, pa.scalar(None, pa.string())).cast(pa.float64()).to_numpy().copy()
        texts = [
            to_number(text) if text.strip().lower() not in NO_VALUE else np.nan for text in values.take(odd).to_pylist()
        ]
        numbers[odd] = [np.nan if text is None else text for text in texts]
        bad = [values[int(at)].as_py() for at, text in zip(odd, texts, strict=True) if text is None]
        return Column(numbers, len(bad), bad[0] if bad else "")
