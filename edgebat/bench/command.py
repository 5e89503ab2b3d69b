"""What ``edgebat bench`` does, apart from reading the command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgebat.bench import guard, render
from edgebat.bench.host import TIMED
from edgebat.bench.nets import ALL_NETS, reference_net
from edgebat.bench.peers import all_tables, compare_with_peers
from edgebat.bench.run import COMPILERS, TARGETS, Options, Report, bench, require_good
from edgebat.errors import EdgebatError
from edgebat.files import atomic_write
from edgebat.graph import IntGraph
from edgebat.simulate.targets import list_targets

_GENERATED = "# Reference networks and peers\n\nWritten by `edgebat bench peers --markdown FILE`; not edited by hand.\n"


@dataclass(frozen=True)
class Files:
    """Where results go besides the console; with ``json`` the console shows the figures as JSON and nothing else."""

    json: bool = False
    markdown: Path | None = None
    html: Path | None = None


def graphs_of(model: str | None, nets: Sequence[str], rounding: str = "auto") -> list[IntGraph]:
    """The model file and the reference nets that were asked for. Raises EdgebatError for an unknown net."""
    from edgebat.models import load_model

    if unknown := sorted(set(nets) - set(ALL_NETS)):
        raise EdgebatError(f"there is no reference net {', '.join(unknown)}; choose {', '.join(ALL_NETS)}")
    return [*([load_model(model, rounding)] if model else []), *map(reference_net, dict.fromkeys(nets))]


def compilers_of(choice: str) -> tuple[str, ...]:
    """The compilers behind "zig", "gcc" or "both"; raises EdgebatError for another word."""
    if choice not in (*COMPILERS, "both"):
        raise EdgebatError(f"compiler {choice!r} is unknown; choose {', '.join(COMPILERS)} or both")
    return COMPILERS if choice == "both" else (choice,)


def targets_of(names: Sequence[str]) -> tuple[str, ...]:
    """The targets named, the usual ones where none is, every shipped one for "all"."""
    return tuple(list_targets()) if "all" in names else tuple(dict.fromkeys(names)) or TARGETS


def recorded_targets(folder: Path) -> tuple[str, ...]:
    """The targets that have a baseline file in ``folder``, sorted."""
    return tuple(sorted(path.stem for path in folder.glob("*.json")))


def run_bench(
    graphs: Sequence[IntGraph],
    targets: Sequence[str],
    options: Options,
    files: Files,
    *,
    layers: bool = False,
    quiet: bool = False,
) -> list[Report]:
    """Measure, print unless ``quiet``, write; on the target "host" wall times as well.

    Raises EdgebatError, after printing, when a tool broke or outputs differ from NumPy's.
    """
    if not graphs:
        raise EdgebatError(f"nothing to measure: give a model file, or --net {' | --net '.join(ALL_NETS)}")
    if "host" in targets and not quiet:
        options = replace(options, times=TIMED)
    reports = [bench(graph, targets, options) for graph in graphs]
    _write(reports, files)
    if not (files.json or quiet):
        render.print_reports(reports, layers=layers)
    require_good(reports)
    if not (quiet or any(_has_figures(report) for report in reports)):
        raise EdgebatError(_nothing("measured", reports))
    return reports


def _write(reports: Sequence[Report], files: Files) -> None:
    if files.json:
        print(render.to_json(reports), end="")
    if files.markdown:
        atomic_write(files.markdown, render.to_markdown(reports))
    if files.html:
        atomic_write(files.html, render.to_html(reports))


def _has_figures(report: Report) -> bool:
    return any(row.measurement for row in report.rows) or any(time.median for time in report.times)


def run_check(reports: Sequence[Report], folder: Path) -> None:
    """Print every comparison with the baselines in ``folder``; raises EdgebatError when one fails or none was made."""
    findings = guard.check(reports, folder)
    if not findings:
        raise EdgebatError(_nothing("compared", reports))
    for finding in findings:
        print(f"{finding.kind:<15} {finding.text}")
    failed = sum(finding.fails for finding in findings)
    if failed:
        raise EdgebatError(f"{failed} of {len(findings)} figures differ from the baselines in {folder}; see above")


def run_accept(reports: Sequence[Report], folder: Path) -> None:
    """Write the figures as new baselines and say which files they went to. Raises EdgebatError without figures."""
    accepted = guard.accept(reports, folder)
    if not accepted:
        raise EdgebatError(_nothing("accepted", reports))
    for path in accepted:
        print(f"accepted: {path}")


def _nothing(done: str, reports: Sequence[Report]) -> str:
    """Why there are no figures; a tool that is missing names what brings it."""
    notes = dict.fromkeys(row.note for report in reports for row in report.rows if row.note)
    return f"nothing could be {done}, no target gave figures: {'; '.join(notes) or 'see `edgebat doctor`'}"


def run_peers(files: Files, options: Options) -> None:
    """The goals and the peers beside the reference nets. Raises ToolError without the compiler or the simulator."""
    comparison = compare_with_peers(options)
    reports, tables = list(comparison.reports.values()), all_tables(comparison)
    if files.markdown:
        parts = [_GENERATED, render.to_markdown(reports), "## Goals and peers\n", *map(render.table_markdown, tables)]
        atomic_write(files.markdown, "\n".join(parts))
    if files.html:
        parts = [*map(render.report_html, reports), "<section>", *map(render.table_html, tables), "</section>"]
        atomic_write(files.html, render.page("edgebat and its peers", "".join(parts)))
    if files.json:
        print(render.to_json(reports), end="")
    else:
        from rich.console import Console

        console = Console(highlight=False)
        for report in reports:
            render.print_heading(report, console)
        for table in tables:
            render.print_table(table, console)
    require_good(reports)
