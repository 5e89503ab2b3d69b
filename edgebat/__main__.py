"""``edgebat`` and ``python -m edgebat``.

With the ``cli`` extra this is the whole command line (edgebat/cli/main.py). Without it, on a device with NumPy alone, the
verbs that need nothing else still work: ``edgebat predict``, ``edgebat info`` and ``edgebat zoo``.
"""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from edgebat import __version__
from edgebat.errors import EdgebatError
from edgebat.extras import EXTRAS, VERBS, extras_for, installed, lacking, missing_for

INSTALL_HINT = 'pip install "edgebat[{}]"'


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; ``argv`` without the program's name (default: sys.argv[1:]). Returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return _run(arguments)
    except BrokenPipeError:
        # The reader of a pipe (head, less) has seen enough. What is still buffered must not be written at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _run(arguments: list[str]) -> int:
    if all(map(installed, EXTRAS["cli"].values())):
        from edgebat.cli.main import run_cli

        return run_cli(arguments)
    return small_cli(arguments)


def small_cli(arguments: list[str]) -> int:
    """The command line of a NumPy-only installation: ``predict``, ``info`` and ``zoo``."""
    parser = argparse.ArgumentParser(
        prog="edgebat",
        description="edgebat with NumPy alone: run a model that was trained and exported elsewhere.",
        epilog=f"All other verbs (run, train, distill, export, ...) come with: {INSTALL_HINT.format('cli')}",
    )
    parser.add_argument("--version", action="version", version=f"edgebat {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    info = verbs.add_parser("info", help="what a model file holds")
    info.add_argument("model", help=".ebat, .tflite or .onnx")
    predict = verbs.add_parser(
        "predict",
        help="what a model predicts from a cycler file, a capacity history or ready windows",
        epilog="example: edgebat predict health-lstm.ebat cell07.csv --nominal-ah 3.5 --map current=I_mA:1e-3",
    )
    predict.add_argument("model", help=".ebat, .tflite or .onnx")
    predict.add_argument("data", help="cycler file (CSV, BatteryML), capacity history (CSV), or windows as .csv / .npy")
    predict.add_argument("--nominal-ah", type=float, default=None, help="nominal capacity of the cell in Ah")
    predict.add_argument(
        "--map", "--set", action="append", default=[], metavar="NAME=COLUMN[:FACTOR]", help="name a column"
    )
    predict.add_argument("--sign", default=None, help="meaning of a positive current")
    predict.add_argument("--last", action="store_true", help="only the newest window")
    predict.add_argument("--json", action="store_true", help="print JSON")
    _add_zoo(verbs.add_parser("zoo", help="ready students: list, get").add_subparsers(dest="ask", required=True))

    small = arguments[:1] in (["info"], ["predict"], ["zoo"]) and arguments[:2] != ["zoo", "add"]
    if arguments[:1] == ["predict"] and extras_for(arguments) != ["cli"]:  # a folder of logs
        small = False
    if arguments and not small and not arguments[0].startswith("-"):
        hint = INSTALL_HINT.format(",".join(lacking(extras_for(arguments))))
        near = difflib.get_close_matches(arguments[0], VERBS, n=1)
        if arguments[0] in VERBS:
            text = f"this verb needs more than NumPy; run: {hint}"
        else:
            text = (
                f"there is no such verb{f'; did you mean {near[0]}?' if near else ''} The verbs are {', '.join(VERBS)}"
            )
        print(f"edgebat {arguments[0]}: {text}", file=sys.stderr)
        return 2
    options = parser.parse_args(arguments)
    from edgebat.predict import describe_model, predict_text
    from edgebat.tasks.base import FileOptions

    try:
        if options.verb == "zoo":
            print(_zoo_text(options))
        elif options.verb == "info":
            print(describe_model(options.model))
        else:
            print(
                predict_text(
                    options.model,
                    options.data,
                    FileOptions(options.nominal_ah, options.map, options.sign),
                    last=options.last,
                    as_json=options.json,
                )
            )
    except EdgebatError as error:
        print(f"edgebat: {missing_for(arguments, error) or error}", file=sys.stderr)
        return 2
    return 0


def _add_zoo(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    listed = verbs.add_parser("list", help="what there is")
    listed.add_argument("--json", action="store_true", help="print JSON")
    get = verbs.add_parser("get", help="copy a model, or write the C for a firmware")
    get.add_argument("name", help="as edgebat zoo list has it")
    get.add_argument("--out", type=Path, default=None, metavar="FOLDER", help="where the files go")
    get.add_argument("--port", default=None, help="instead: a folder for a firmware; generic needs NumPy alone")
    get.add_argument("--nominal-mah", type=int, default=None, metavar="MAH", help="--port: capacity of the cell")


def _zoo_text(options: argparse.Namespace) -> str:
    from edgebat.zoo.command import Wanted, list_text

    if options.ask == "list":
        return list_text(options.json)
    return Wanted(options.name, options.out, options.port, options.nominal_mah).get()


if __name__ == "__main__":
    sys.exit(main())
