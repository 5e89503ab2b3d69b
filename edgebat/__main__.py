"""``edgebat`` and ``python -m edgebat``: every command starts here, and every error ends here.

With the ``cli`` extra this is the whole command line (edgebat/cli/main.py). Without it, on a device with NumPy alone, the
verbs that need nothing else still work: ``edgebat predict``, ``edgebat info`` and ``edgebat zoo``.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import os
import shlex
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path

from edgebat import __version__
from edgebat.errors import EdgebatError, explain_os_error
from edgebat.extras import EXTRAS, RESUMED, VERBS, broken_package, extras_for, installed, lacking, missing_for

INSTALL_HINT = 'pip install "edgebat[{}]"'
INTERRUPTED, TERMINATED = 130, 143


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; ``argv`` without the program's name (default: sys.argv[1:]).

    Returns the exit code: 0 done, 1 internal error, 2 wrong use or input, 3 outside a model's ground, 130 interrupted,
    143 terminated.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    # --debug is accepted everywhere, not only in front of the verb, because one adds it to a command that just failed.
    debug = "--debug" in given
    arguments = [argument for argument in given if argument != "--debug"]
    try:
        with _terminable() as terminated:
            return _run(arguments)
    except BrokenPipeError:
        # The reader of a pipe (head, less) has seen enough. What is still buffered must not be written at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        _say("terminated" if terminated else "interrupted", _how_to_continue(arguments))
        return TERMINATED if terminated else INTERRUPTED
    except Exception as error:
        if debug:
            traceback.print_exc()
        expected = missing_for(arguments, error) or broken_package(error) or error
        if isinstance(expected, EdgebatError):
            if output := getattr(expected, "output", ""):
                print(output)
            _say("error", str(expected))
            return expected.exit_code
        if isinstance(expected, OSError):
            _say("error", explain_os_error(expected))
            return 2
        if isinstance(expected, MemoryError):
            _say("error", "there is not enough memory for this; close other programs, or give less data at a time")
            return 2
        if not debug:
            _say(
                "internal error",
                f"{type(error).__name__}: {error}\n"
                "This is a fault in edgebat, not in your input. Run the command again with --debug for the trace.",
            )
        return 1


@contextlib.contextmanager
def _terminable() -> Iterator[list[int]]:
    """SIGTERM ends a command as Ctrl-C does, so that what it started ends with it; gives the signals that came."""
    came: list[int] = []

    def end(number: int, frame: object) -> None:
        came.append(number)
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # only there can signals be handled
        yield came
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield came
    finally:
        signal.signal(signal.SIGTERM, before)


def _say(what: str, text: str) -> None:
    """One message on standard error."""
    colour = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    print(f"\033[1;31m{what}:\033[0m {text}" if colour else f"{what}: {text}", file=sys.stderr)


def _how_to_continue(arguments: Sequence[str]) -> str:
    """What a person who pressed Ctrl-C can do."""
    verb = next((argument for argument in arguments if not argument.startswith("-")), "")
    command = shlex.join(["edgebat", *arguments])
    if verb in RESUMED or (verb in ("predict", "evaluate") and "--out" in arguments):
        return f"what is finished is kept; the same command goes on from there: {command}"
    return f"{command} was not finished; run it again"


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
    info = verbs.add_parser("info", help="what a file or folder is, and what a model holds")
    info.add_argument("path", help="model, teacher, recipe, run folder, corpus, target, cycler file")
    info.add_argument("--json", action="store_true", help="print JSON")
    info.add_argument(
        "--rounding", default="auto", help="of a file that another tool wrote: tflm, xnnpack, onnxruntime"
    )
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
    predict.add_argument("--rounding", default="auto", help="as of info")
    predict.add_argument("--chemistry", default="", help="of the cell, as NCM811 or LFP")
    predict.add_argument("--max-gap-ms", type=int, default=None, help="a longer hole ends a measurement")
    predict.add_argument("--last", action="store_true", help="only the newest window")
    predict.add_argument("--json", action="store_true", help="print JSON")
    zoo = verbs.add_parser("zoo", help="ready students: list, get")
    _add_zoo(zoo.add_subparsers(dest="ask", metavar="list|get", required=True))

    small = arguments[:1] in (["info"], ["predict"], ["zoo"]) and arguments[:2] != ["zoo", "add"]
    if arguments[:1] == ["predict"] and extras_for(arguments) != ["cli"]:  # a folder of logs
        small = False
    if arguments and not small and not arguments[0].startswith("-"):
        _say(f"edgebat {arguments[0]}", _why_not(arguments))
        return 2
    if not arguments:
        parser.print_help()
        return 2
    options = parser.parse_args(arguments)
    from edgebat.describe import info_text
    from edgebat.predict import predict_text
    from edgebat.tasks.base import FileOptions

    if options.verb == "zoo":
        print(_zoo_text(options))
        return 0
    if options.verb == "info":
        print(info_text(options.path, as_json=options.json, rounding=options.rounding))
        return 0
    if Path(options.data).is_dir():
        hint = f"{INSTALL_HINT.format('cli,data')}, and say with --out where the results go"
        _say("error", f"{options.data} is a folder; give one file, or for a folder of logs: {hint}")
        return 2
    how = FileOptions(options.nominal_ah, options.map, options.sign, options.max_gap_ms, options.chemistry)
    print(
        predict_text(
            options.model, options.data, how, last=options.last, as_json=options.json, rounding=options.rounding
        )
    )
    return 0


def _why_not(arguments: Sequence[str]) -> str:
    """Why NumPy alone does not do this verb."""
    if arguments[0] in VERBS:
        return f"this verb needs more than NumPy; run: {INSTALL_HINT.format(','.join(lacking(extras_for(arguments))))}"
    near = difflib.get_close_matches(arguments[0], VERBS, n=1)
    hint = f"; did you mean {near[0]}?" if near else "."
    return f"there is no such verb{hint} The verbs are {', '.join(VERBS)}"


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
