"""``lab compare``: two runs, many orders of simultaneous events, or the engines and the thesis."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lab.cli.output import note, print_json, print_table
from lab.cli.reading import Json, Overrides
from lab.errors import LabError

if TYPE_CHECKING:
    from lab.analysis.compare import Difference, TieEffect

EXIT_OUTSIDE = 3
_WORDS = {True: "inside", False: "OUTSIDE", None: "unknown"}


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("compare")(compare)


def compare(
    *,
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="A B | NAME",
            help="Two runs, each a directory, SCENARIO/RUN, SCENARIO for its latest run, or "
            "SCENARIO:ENGINE for the latest of an engine; with --ties one scenario.",
        ),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit 3 when a figure is outside the runs' spread.")
    ] = False,
    within: Annotated[
        float,
        typer.Option(min=0.0, metavar="PART", help="What differs by less counts as inside: 0.02."),
    ] = 0.0,
    ties: Annotated[
        int | None,
        typer.Option(min=2, metavar="N", help="Simulate NAME in N orders of simultaneous events."),
    ] = None,
    claims: Annotated[
        bool,
        typer.Option("--claims", help="Emulation, simulation and thesis for every fabric claim."),
    ] = False,
    overrides: Overrides = [],  # noqa: B006 - typer's way to say "may be repeated"
    json_output: Json = False,
) -> None:
    """Compare two runs, figure by figure.

    For every throughput, latency and claim: both values, their difference, and whether it is
    within what the spread inside the two runs explains. With --ties one scenario is simulated
    several times, to show how far its figures depend on the order of simultaneous events. With
    --claims the newest runs of both engines are set beside the thesis, in
    results/agreement.md and .json.

    Example:

    \b
      lab compare front-to-back:emulation front-to-back:simulation
      lab compare results/slow-host/20261121-093000-seed1 slow-host --strict --within 0.02
      lab compare --ties 5 switch-port-contention --set timeline.measure_s=0.01
      lab compare --claims
    """
    names = list(runs or [])
    if claims:
        _expect(names, 0, "--claims takes no run", "lab compare --claims")
        _claims(json_output)
    elif ties is not None:
        _expect(names, 1, "--ties takes one scenario", "lab compare --ties 5 slow-host")
        _ties(names[0], overrides, ties, json_output)
    else:
        _expect(names, 2, "two runs are compared", "lab compare A B")
        outside = _two(names[0], names[1], within, json_output)
        if outside and strict:
            raise typer.Exit(EXIT_OUTSIDE)


def _expect(names: Sequence[str], count: int, what: str, example: str) -> None:
    if len(names) != count:
        raise LabError(f"{what}, {len(names)} given", remedy=f"for example: {example}")


def _two(first: str, second: str, within: float, json_output: bool) -> int:
    """Compare two runs; returns how many figures are outside."""
    from lab.analysis import agreement
    from lab.analysis import compare as comparing
    from lab.analysis.run import figures_of
    from lab.paths import shown
    from lab.results.runs import find_run

    a, b = find_run(first), find_run(second)
    differences = comparing.compare(figures_of(a), figures_of(b), within=within)
    if not differences:
        raise LabError(
            f"{shown(a)} and {shown(b)} have no figure in common",
            remedy="compare runs of one scenario with the same passes and steps, or cases",
        )
    counts = agreement.tally(differences)
    if json_output:
        figures = [asdict(difference) for difference in differences]
        valid = {"a_valid": agreement.is_valid(a), "b_valid": agreement.is_valid(b)}
        print_json({"a": str(a), "b": str(b), **valid, **counts, "figures": figures})
    else:
        _print_two(differences)
        for letter, run in (("A", a), ("B", b)):
            doubt = "" if agreement.is_valid(run) else " - NOT VALID, its figures are no evidence"
            note(f"{letter}: {shown(run)}{doubt}")
        note(", ".join(f"{count} {word}" for word, count in counts.items() if count))
    return counts["outside"]


def _print_two(differences: "Sequence[Difference]") -> None:
    from lab.analysis.agreement import number, percent

    rows = [
        (
            d.figure,
            number(d.a),
            number(d.b),
            d.unit,
            percent(d.relative),
            "" if d.spread is None or not d.a else f"{d.spread / abs(d.a):.1%}",
            _WORDS[d.inside],
        )
        for d in differences
    ]
    print_table(("figure", "a", "b", "unit", "difference", "spread", "verdict"), rows)


def _ties(name: str, overrides: Sequence[str], count: int, json_output: bool) -> None:
    from lab.cli.progress import show_progress
    from lab.engine.playbook import Interrupted
    from lab.engine.ties import simulate_ties

    try:
        with show_progress() as on_event:
            effects = simulate_ties(name, overrides, count, on_event)
    except Interrupted as interrupt:
        note("interrupted")
        raise typer.Exit(128 + interrupt.number) from None
    if json_output:
        print_json({"scenario": name, "orders": count, "figures": [asdict(e) for e in effects]})
        return
    _print_ties(effects)
    note(f"{count} orders of simultaneous events; range: (most - least) / mean")


def _print_ties(effects: "Sequence[TieEffect]") -> None:
    from lab.analysis.agreement import number

    rows = [
        (
            e.figure,
            number(e.least),
            number(e.mean),
            number(e.most),
            e.unit,
            "" if e.range is None else f"{e.range:.2%}",
        )
        for e in effects
    ]
    print_table(("figure", "least", "mean", "most", "unit", "range"), rows)


def _claims(json_output: bool) -> None:
    from lab.analysis import agreement
    from lab.paths import RESULTS, shown

    table = agreement.write_agreement(root=RESULTS)
    if json_output:
        print_json(table)
        return
    print_table(
        ("claim", "unit", "thesis", "emulation", "simulation", "difference", ""),
        [_claim_cells(row) for row in table["claims"]],
    )
    note(f"also in {shown(RESULTS / agreement.MARKDOWN_FILE)}")


def _claim_cells(row: dict[str, Any]) -> tuple[str, ...]:
    from lab.analysis.agreement import EMULATION, SIMULATION, number, percent

    measured = [
        f"{number(found['measured'])} {found['verdict']}" if found else "-"
        for found in (row[EMULATION], row[SIMULATION])
    ]
    apart = percent(row["difference"])
    mark = "!" if row["notable"] else ""
    return (row["claim"], row["unit"] or "", number(row["thesis"]), *measured, apart, mark)
