"""Which file is of which cell: stated by a pattern or a table, otherwise asked."""

from pathlib import Path

import pytest

from edgebat.assemble.naming import Naming, check_named, compiled
from edgebat.assemble.settings import AddSettings
from edgebat.errors import DataError


@pytest.mark.parametrize(
    ("pattern", "name", "cell"),
    [
        ("{cell}_*", "alpha_003.xlsx", "alpha"),
        ("{cell}/*", "cell 7/part1.csv", "cell 7"),
        ("export_{cell}", "export_a_b.csv", "a_b"),
        (r"re:(?P<cell>CS2_\d+)_.*", "CS2_35_1_10_11.xlsx", "CS2_35"),
        ("{cell}", "a.b.csv", "a.b"),
    ],
)
def test_a_pattern_says_where_the_cell_stands(pattern: str, name: str, cell: str) -> None:
    naming = Naming(AddSettings(name_pattern=pattern))
    assert naming.cell_of(name, "", 1).key == ("OWN", cell)
    assert naming.cell_of(name, "2", 2).key == ("OWN", f"{cell}-2")


def test_a_channel_may_be_the_cell() -> None:
    naming = Naming(AddSettings(name_pattern="{channel}"))
    assert naming.cell_of("any.parquet", "cell 7", 3).key == ("OWN", "cell 7")
    assert naming.cell_of("alone.csv", "", 1).key == ("OWN", "alone")


def test_a_pattern_without_a_cell_and_a_name_that_does_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match=r"has no \{cell\}"):
        compiled("alpha_*")
    with pytest.raises(DataError, match=r"is no pattern"):
        compiled("re:(?P<cell>")
    with pytest.raises(DataError, match=r"b.csv does not fit --name-pattern .*--skip 'b.csv'"):
        Naming(AddSettings(name_pattern="{cell}_*")).cell_of("b.csv", "", 1)


def test_names_that_look_like_parts_of_one_cell_are_asked_about() -> None:
    with pytest.raises(DataError) as error:
        check_named(["alpha_2025-03-01.csv", "alpha_2025-03-09.csv", "beta_2025-03-01.csv"], AddSettings())
    text = str(error.value)
    assert "2 cells: alpha (2 files), beta (1 files)" in text
    assert "--name-pattern '{cell}': 3 cells, one per file" in text
    assert "--cells TABLE.csv" in text
    # What is proposed works as it stands there.
    proposed = text.split("--name-pattern ")[1].split(": 2 cells")[0].strip("'").replace("\\\\", "\\")
    assert Naming(AddSettings(name_pattern=proposed)).cell_of("alpha_2025-03-09.csv", "", 1).key == ("OWN", "alpha")
    check_named(["alpha.csv", "beta.csv"], AddSettings())
    check_named(["alpha_1.csv", "alpha_2.csv"], AddSettings(name_pattern="{cell}"))


def test_a_table_names_cells_and_states_what_is_known(tmp_path: Path) -> None:
    table = tmp_path / "cells.csv"
    table.write_text(
        "file;cell;channel;nominal_ah;chemistry\na_*.csv;A;;3,5;NMC\n".replace("3,5", "3.5")
        + "b.csv;B;1;2;\nb.csv;C;2;2;LFP\n"
    )
    naming = Naming(AddSettings(cells=table, dataset="LAB"))
    assert naming.cell_of("x/a_1.csv", "", 1).key == ("LAB", "A")
    assert naming.cell_of("a_1.csv", "", 1).facts == {"nominal_capacity_ah": 3.5, "chemistry": "NMC"}
    assert [naming.cell_of("b.csv", channel, 2).key[1] for channel in "12"] == ["B", "C"]
    with pytest.raises(DataError, match=r"no row is for c.csv"):
        naming.cell_of("c.csv", "", 1)


def test_a_table_in_another_encoding_is_refused_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "cells.csv").write_bytes("file,cell_id\na.csv,Zelle ä\n".encode("latin-1"))
    with pytest.raises(DataError, match="is no UTF-8; save it as CSV in UTF-8"):
        Naming(AddSettings(cells=tmp_path / "cells.csv"))


def test_what_one_row_of_a_table_states_of_a_cell_holds_in_all(tmp_path: Path) -> None:
    (tmp_path / "cells.csv").write_text("file,cell_id,nominal_ah,chemistry\na.csv,A,,\nb.csv,A,2.5,LFP\nc.csv,B,3,\n")
    naming = Naming(AddSettings(cells=tmp_path / "cells.csv"))
    assert naming.cell_of("a.csv", "", 1).facts == {"nominal_capacity_ah": 2.5, "chemistry": "LFP"}
    assert naming.cell_of("c.csv", "", 1).facts == {"nominal_capacity_ah": 3.0}


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("name,cell_id\na,b\n", r"lacks \['file'\]"),
        ("file,cell_id,nominal_ah\na.csv,A,two\n", "nominal_capacity_ah"),
        ("file,cell_id,nominal_ah\na.csv,A,3.5\nb.csv,A,3.0\n", r"cell A: its rows state several .* \(3.5, 3.0\)"),
        ("file,cell_id\na*,A\n*.csv,B\n", r"is listed for the cells \['A', 'B'\]"),
    ],
)
def test_a_table_with_a_mistake_is_refused(tmp_path: Path, text: str, refused: str) -> None:
    (tmp_path / "cells.csv").write_text(text)
    with pytest.raises(DataError, match=refused):
        Naming(AddSettings(cells=tmp_path / "cells.csv")).cell_of("a.csv", "", 1)
