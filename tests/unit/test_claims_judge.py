"""The rules by which a measurement is judged."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.claims import Claim, Measurement, Verdict, judge, summary

numbers = st.floats(min_value=1e-3, max_value=1e6)
tolerances = st.floats(min_value=0, max_value=0.9)


def claim(**fields: object) -> Claim:
    plain = {
        "id": "fabric-test",
        "source": "thesis 4",
        "claim": "x",
        "kind": "exact",
        "role": "check",
    }
    return Claim.model_validate({**plain, **fields})


def verdict(of: Claim, *, valid: bool = True, **measured: object) -> Verdict:
    measurement = Measurement(of.id, **measured)  # type: ignore[arg-type]
    return judge(of, measurement, certificate_valid=valid, certificate_why="too late")


def outcome(of: Claim, **measured: object) -> str:
    return verdict(of, **measured).verdict


@given(numbers, tolerances, st.floats(min_value=0, max_value=0.99))
def test_within_the_tolerance_is_reproduced_and_beyond_deviates(
    value: float, tolerance: float, part: float
):
    of = claim(value=value, tolerance=tolerance)
    assert outcome(of, value=value * (1 + tolerance * part)) == "reproduced"
    assert outcome(of, value=value * (1 - tolerance * part)) == "reproduced"
    assert outcome(of, value=value * (1 + tolerance + 0.01)) == "deviates"
    assert outcome(of, value=value * (1 - tolerance - 0.01)) == "deviates"


@given(numbers, st.integers(1, 10**6), st.floats(min_value=0.01, max_value=100))
def test_a_ratio_does_not_depend_on_the_speed_of_the_machine(
    value: float, baseline: int, speed: float
):
    of = claim(kind="ratio", value=value, unit="us", baseline=f"{baseline} us raw", tolerance=0.05)
    assert outcome(of, value=value * speed, baseline=baseline * speed) == "reproduced"
    # The comparison itself allows for rounding, which matters for ratios near nothing only.
    if value / baseline > 1e-6:
        assert outcome(of, value=value * speed * 1.2, baseline=baseline * speed) == "deviates"


def test_a_ratio_of_the_text_is_judged_against_its_own_baseline():
    of = claim(
        kind="ratio", value=98, unit="MByte/s", baseline="112 MByte/s maximum", tolerance=0.05
    )
    assert outcome(of, value=96.3, baseline=112.3) == "reproduced"
    assert outcome(of, value=90.0, baseline=112.3) == "deviates"
    assert outcome(of, value=96.3) == "unknown"
    text = verdict(of, value=90.0, baseline=112.3).why
    assert "0.8014 of the baseline against 0.875: -8.4%, beyond the tolerance of 5%" in text


def test_a_ratio_whose_baseline_is_only_named_needs_its_published_number():
    of = claim(kind="ratio", value=112, unit="MByte/s", baseline="the maximum", tolerance=0.02)
    assert outcome(of, value=112, baseline=112.3) == "unknown"
    assert outcome(of, value=112, baseline=112.3, published_baseline=112.0) == "reproduced"


@pytest.mark.parametrize("unit", ["fraction", "x"])
def test_a_fraction_already_is_the_ratio(unit: str):
    of = claim(kind="ratio", value=0.15, unit=unit, baseline="98 MByte/s", tolerance=0.1)
    assert outcome(of, value=0.16) == "reproduced"
    assert outcome(of, value=0.17, baseline=96.0) == "deviates"


@given(numbers, st.floats(min_value=0, max_value=5), tolerances)
def test_ranges_accept_their_inside(low: float, width: float, tolerance: float):
    high = low * (1 + width)
    of = claim(value=[low, high], tolerance=tolerance)
    assert outcome(of, value=(low + high) / 2) == "reproduced"
    assert outcome(of, value=high * (1 + tolerance) * 1.01) == "deviates"
    assert outcome(of, value=low * (1 - tolerance) * 0.99) == "deviates"


@given(numbers, numbers)
def test_bounds_are_one_sided(limit: float, other: float):
    most, least = claim(value=f"<= {limit}"), claim(value=f">= {limit}")
    assert outcome(most, value=min(limit, other)) == "reproduced"
    assert outcome(least, value=max(limit, other)) == "reproduced"
    assert outcome(most, value=limit * 1.01) == "deviates"
    assert outcome(least, value=limit * 0.99) == "deviates"


def test_a_bound_may_have_a_tolerance():
    of = claim(kind="ratio", value="<= 0.5", unit="fraction", baseline="on", tolerance=0.2)
    assert outcome(of, value=0.59) == "reproduced"
    assert outcome(of, value=0.61) == "deviates"


def test_around_zero_the_tolerance_is_absolute():
    of = claim(kind="shape", value=0, unit="fraction", tolerance=0.02)
    assert outcome(of, value=0.02) == "reproduced"
    assert outcome(of, value=-0.019) == "reproduced"
    assert outcome(of, value=0.021) == "deviates"
    assert outcome(claim(kind="guarantee", value=0, unit="cells"), value=1.0) == "deviates"


def test_exact_means_exact():
    of = claim(value=5, unit="switches")
    assert outcome(of, value=5.0) == "reproduced"
    assert outcome(of, value=5.001) == "deviates"
    assert outcome(of, holds=True) == "unknown"


@pytest.mark.parametrize("kind", ["guarantee", "function", "ordering", "shape"])
def test_claims_without_a_number_are_judged_by_yes_or_no(kind: str):
    assert outcome(claim(kind=kind), holds=True) == "reproduced"
    assert outcome(claim(kind=kind), holds=False) == "deviates"
    assert outcome(claim(kind=kind)) == "unknown"


def test_shapes_and_formulas_are_judged_by_their_deviation():
    of = claim(kind="shape", tolerance=0.1)
    assert outcome(of, deviation=-0.1) == "reproduced"
    assert outcome(of, deviation=0.11) == "deviates"
    formula = claim(kind="exact", value="266000 / k")
    assert outcome(formula, deviation=0.0) == "reproduced"
    assert outcome(formula, deviation=0.01) == "deviates"
    assert outcome(formula, holds=True) == "reproduced"


def test_a_number_with_a_failing_further_condition_deviates():
    of = claim(value=5)
    assert outcome(of, value=5.0, holds=True) == "reproduced"
    assert outcome(of, value=5.0, holds=False) == "deviates"


@given(st.sampled_from(["exact", "ratio", "shape", "guarantee", "era"]), st.booleans())
def test_inputs_are_never_reproduced(kind: str, valid: bool):
    of = claim(kind=kind, role="input", value=1, unit="us", baseline="1 us", tolerance=0.1)
    assert outcome(of, valid=valid, value=1.0, baseline=1.0) == "input"


@given(st.sampled_from(["exact", "ratio", "shape", "guarantee", "era", "function"]))
def test_without_a_valid_certificate_all_is_unknown(kind: str):
    of = claim(kind=kind, value=1, unit="us", baseline="1 us", tolerance=0.1)
    told = verdict(of, valid=False, value=1.0, baseline=1.0)
    assert told.verdict == "unknown"
    assert "too late" in told.why


@pytest.mark.parametrize(
    ("kind", "observed_well", "holds", "expected"),
    [
        ("guarantee", True, False, "deviates"),
        # What a protocol that breaks its promises keeps, or how fast it is, tells nothing.
        ("guarantee", True, True, "unknown"),
        ("shape", True, False, "unknown"),
        # A node that was held up may only look as if it broke one.
        ("guarantee", False, False, "unknown"),
    ],
)
def test_only_a_guarantee_that_was_seen_broken_deviates_in_an_invalid_run(
    kind: str, observed_well: bool, holds: bool, expected: str
):
    told = judge(
        claim(kind=kind),
        Measurement("fabric-test", holds=holds),
        certificate_valid=False,
        observed_well=observed_well,
    )
    assert told.verdict == expected


def test_values_of_their_era_are_reported_and_not_judged():
    of = claim(kind="era", value=10, unit="us", tolerance=0.2)
    assert outcome(of, value=5000.0) == "reported"


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_measurement_that_is_no_number_is_unknown(number: float):
    assert outcome(claim(value=1, tolerance=0.5), value=number) == "unknown"


def test_what_is_missing_is_unknown_and_says_why():
    told = verdict(claim(value=1), missing="the run has no pass")
    assert (told.verdict, told.why) == ("unknown", "Not measured: the run has no pass.")


def test_the_summary_counts_by_system_and_verdict():
    rows = [
        verdict(claim(value=1), value=1.0),
        verdict(claim(value=1), value=2.0),
        verdict(claim(id="isis-x", value=1), value=1.0),
    ]
    assert summary(rows) == {
        "fabric": {"reproduced": 1, "deviates": 1},
        "isis": {"reproduced": 1},
    }
