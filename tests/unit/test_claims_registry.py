"""The registry file and the errors of its loader."""

from pathlib import Path

import pytest

from lab.claims import SYSTEMS, find_claim, load_registry
from lab.claims.quantities import Bound, convert, leading_quantity, parse_bound
from lab.claims.registry import parse_registry
from lab.errors import LabError
from lab.located_yaml import parse

GOOD = """\
- id: fabric-some-claim
  source: thesis 4.3
  claim: Something holds.
  kind: guarantee
  role: check
"""


def registry_error(text: str) -> str:
    with pytest.raises(LabError) as caught:
        parse_registry(parse(text, Path("claims.yaml")))
    return str(caught.value)


def test_the_registry_loads_whole():
    claims = load_registry()
    assert len(claims) == 426
    assert {claim.system for claim in claims} == set(SYSTEMS)
    assert len({claim.id for claim in claims}) == len(claims)
    assert find_claim("fabric-port-contention-port1").value == [91.0, 105.0]
    assert find_claim("fabric-off-spread").value == "<= 0.5"


def test_unknown_claim_suggests_the_nearest():
    with pytest.raises(LabError) as caught:
        find_claim("fabric-quench-flt")
    assert "did you mean fabric-quench-flat?" in caught.value.remedy


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("kind: guarantee", "kind: garantee"), "claims.yaml:4: [0].kind: 'garantee'"),
        (("kind: guarantee", "kind: garantee"), "did you mean guarantee?"),
        (("  role: check", "  roll: check"), "claims.yaml:5: [0].roll: unknown key"),
        (("  role: check", "  roll: check"), "did you mean role?"),
        (("  role: check\n", ""), "[0].role: this key is required"),
        (("kind: guarantee", "kind: ratio"), "needs a value and a baseline"),
        (("id: fabric", "id: fabrik"), "must begin with one of unet"),
        (("  role: check", "  role: check\n  tolerance: -1"), "claims.yaml:6: [0].tolerance: -1"),
        (("  role: check", "  role: check\n  value: [2, 1]"), "wrong way round"),
        (("  role: check", "  role: check\n  role: check"), "claims.yaml:6: [0].role: given twice"),
    ],
)
def test_errors_name_file_line_and_field(change: tuple[str, str], message: str):
    assert message in registry_error(GOOD.replace(*change))


def test_a_claim_given_twice_is_refused():
    assert "given twice (first in claims.yaml:1)" in registry_error(GOOD + GOOD)


def test_bounds_and_quantities():
    assert parse_bound(">= 110") == Bound(">=", 110.0)
    assert parse_bound("<= 0.5") == Bound("<=", 0.5)
    assert parse_bound("266000 / k") is None
    assert leading_quantity("784 MByte/s = 7 x 112 before congestion", "MByte/s") == 784
    assert leading_quantity("10,000 messages for one failure", "messages") == 10_000
    assert leading_quantity("single-stream maximum", "MByte/s") is None
    assert leading_quantity("6 updates/s of 50 bytes", "bytes") is None
    assert leading_quantity("140 Mbit/s link", "MByte/s") == pytest.approx(17.5)
    assert convert(1, "Gbit/s", "MByte/s") == pytest.approx(125)
    assert convert(1, "s", "bytes") is None
