"""The proofs about the estimator's C have no alarms, and raise one where the C is wrong.

The everyday run takes the short ones; EDGEBAT_TEST_SCALE=full all, and every fault. Frama-C is in Debian: frama-c-base.
"""

import os
import shutil

import pytest

from bench.proof import SHORT, names, prove
from edgebat.errors import ToolError
from edgebat.paths import firmware_dir

FULL = os.environ.get("EDGEBAT_TEST_SCALE") == "full"
ALL = names(firmware_dir())
FAULTS = [
    (
        "step",
        "edgebat_estimate.c",
        "battery->rows == model->context) {\n",
        "battery->rows > model->context) {\n",
        "bounds",
    ),
    ("config", "edgebat_check.c", "(config->max_gap_ms <= MOST_GAP_MS)", "(config->max_gap_ms != 0U)", "holds"),
    ("step", "edgebat_fusion.c", "if (heard.variance[by] != 0U) {", "if (weights < WEIGHTS) {", "division by zero"),
    ("rest", "edgebat_cycles.c", "(charge < MOST_CHARGE) && ", "", "signed overflow"),
    (
        "push",
        "edgebat_charge.c",
        " &&\n           (before_uV < edgebat_bms_level_uV(battery, battery->level))",
        "",
        "division by zero",
    ),
]

pytestmark = pytest.mark.skipif(not shutil.which("frama-c"), reason="frama-c is not installed")


@pytest.mark.parametrize("name", ALL if FULL else SHORT)
def test_no_input_and_no_state_leads_to_a_fault(name):
    assert prove(firmware_dir(), name, *([] if FULL else ["PROOF_SHORT"])).alarms == ()


@pytest.mark.parametrize(("name", "file", "right", "wrong", "alarm"), FAULTS if FULL else FAULTS[:1])
def test_a_fault_raises_an_alarm(tmp_path, name, file, right, wrong, alarm):
    library = tmp_path / "library"
    shutil.copytree(firmware_dir(), library, ignore=shutil.ignore_patterns("build", "ports"))
    source = library / "bms" / file
    text = source.read_text(encoding="utf-8")
    assert right in text
    source.write_text(text.replace(right, wrong), encoding="utf-8")
    alarms = prove(library, name, "PROOF_SHORT").alarms
    assert any(alarm in found for found in alarms), alarms


def test_a_function_without_code_is_an_alarm(tmp_path):
    library = tmp_path / "library"
    shutil.copytree(firmware_dir(), library, ignore=shutil.ignore_patterns("build", "ports"))
    (library / "bms" / "edgebat_rate.c").unlink()
    assert any("edgebat_bms_" in alarm for alarm in prove(library, "push", "PROOF_SHORT").alarms)


def test_what_cannot_be_analysed_is_no_proof(tmp_path):
    library = tmp_path / "library"
    shutil.copytree(firmware_dir(), library, ignore=shutil.ignore_patterns("build", "ports"))
    (library / "bms" / "edgebat_rate.c").write_text("int broken(", encoding="utf-8")
    with pytest.raises(ToolError, match="has not analysed"):
        prove(library, "config")
