"""``lab simulate``: random cases of a stack in the simulated world."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lab.cli.output import note, print_json, print_table
from lab.cli.reading import Json
from lab.errors import LabError

if TYPE_CHECKING:
    from lab.engine.seeds import Outcome, Trial
    from lab.stacks.plan import CasePlan

EXIT_VIOLATION = 1
_SHRINK_RUNS = 300


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("simulate")(simulate)


def simulate(
    *,
    stack: Annotated[str, typer.Argument(help="A stack's name, such as mscs.")],
    seed: Annotated[int, typer.Option(min=0, help="The seed of one case.")] = 1,
    seeds: Annotated[
        str | None, typer.Option(metavar="A..B", help="The cases of all these seeds, on all cores.")
    ] = None,
    nodes: Annotated[
        int | None, typer.Option(min=1, help="How many nodes; else each seed draws it.")
    ] = None,
    faults: Annotated[
        bool, typer.Option("--faults/--no-faults", help="Whether anything goes wrong.")
    ] = True,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="With --seeds: do not end with the first failure.")
    ] = False,
    trace: Annotated[
        bool, typer.Option("--trace", help="Print what is done and what happens, line by line.")
    ] = False,
    shrink: Annotated[
        bool, typer.Option("--shrink/--no-shrink", help="Make a case that fails short.")
    ] = True,
    json_output: Json = False,
) -> None:
    """Try a stack in random cases under virtual time, and check its invariants.

    Each seed draws options, requests and faults; in the end all is healed, and the nodes have to
    converge. The same seed gives the same digest on any machine. A case that breaks an invariant
    is shrunk and told as a trace, and the exit code is 1.

    Example:

    \b
      lab simulate mscs --seed 7
      lab simulate mscs --seed 7 --nodes 32 --no-faults --trace
      lab simulate mscs --seeds 1..300
    """
    from lab.engine.seeds import Trial, try_seed

    trial = Trial(stack, nodes, faults)
    if seeds is None:
        if trace and not json_output:
            _print_case(trial.case(seed).plan, trial)
        outcomes = [try_seed(trial, seed)]
    else:
        outcomes = _try_many(trial, _range(seeds), keep_going=keep_going)
    failed = next((outcome for outcome in outcomes if outcome.violation is not None), None)
    shortest = _shortest(trial, failed) if failed is not None and shrink else None
    if json_output:
        _print_json(outcomes, failed, shortest)
    else:
        _print_outcomes(outcomes)
        if shortest is not None:
            typer.echo("\nThe shortest case found that breaks the same invariant:\n")
            _print_case(shortest, trial)
    if failed is not None:
        raise typer.Exit(EXIT_VIOLATION)


def _range(seeds: str) -> range:
    """Read ``A..B``, both included."""
    first, dots, last = seeds.partition("..")
    if not dots or not first.isdecimal() or not last.isdecimal() or int(last) < int(first):
        raise LabError(
            f"--seeds {seeds!r} is not a range of seeds", remedy="for example: --seeds 1..300"
        )
    return range(int(first), int(last) + 1)


def _try_many(trial: "Trial", seeds: range, *, keep_going: bool) -> "list[Outcome]":
    import time

    from lab.cli.progress import show_progress
    from lab.engine.progress import Event
    from lab.engine.seeds import try_seeds

    started_s = time.monotonic()
    outcomes: list[Outcome] = []
    with show_progress() as on_event:
        for outcome in try_seeds(trial, seeds, keep_going=keep_going):
            outcomes.append(outcome)
            if outcome.violation is not None and keep_going:
                note(f"seed {outcome.seed} fails: {outcome.violation.text}")
            done = len(outcomes) / len(seeds)
            left_s = (time.monotonic() - started_s) * (1 - done) / done
            message = f"{len(outcomes)} of {len(seeds)} seeds"
            on_event(Event("simulate", message, done, left_s))
    return sorted(outcomes, key=lambda outcome: outcome.seed)


def _shortest(trial: "Trial", failed: "Outcome") -> "CasePlan":
    from lab.engine.seeds import shrink_seed

    note(f"seed {failed.seed} fails; looking for a shorter case that fails in the same way")
    return shrink_seed(trial, failed, most_runs=_SHRINK_RUNS)


def _print_case(plan: "CasePlan", trial: "Trial") -> None:
    """Print what is done in a case and what happens."""
    from lab.stacks.registry import find_exercise
    from lab.world.swarm import run_swarm_case
    from lab.world.trace import plan_lines, trace_lines

    result = run_swarm_case(plan, find_exercise(trial.stack))
    for line in (*plan_lines(plan), "", *trace_lines(result.events, result.violations), ""):
        typer.echo(line)


def _print_outcomes(outcomes: "Sequence[Outcome]") -> None:
    if len(outcomes) > 1:
        _print_sum(outcomes)
        outcomes = [outcome for outcome in outcomes if outcome.violation is not None]
    if outcomes:
        print_table(
            ("seed", "nodes", "virtual s", "real s", "faster", "events", "digest", "verdict"),
            [_cells(outcome) for outcome in outcomes],
        )


def _cells(outcome: "Outcome") -> tuple[object, ...]:
    found = outcome.violation
    return (
        outcome.seed,
        outcome.nodes,
        f"{outcome.virtual_s:.1f}",
        f"{outcome.real_s:.2f}",
        f"{outcome.virtual_s / max(outcome.real_s, 1e-6):.0f} x",
        outcome.happened,
        outcome.digest,
        "holds" if found is None else f"{found.checker}: {found.reason} ({found.t_s:.3f} s)",
    )


def _print_sum(outcomes: "Sequence[Outcome]") -> None:
    virtual_s = sum(outcome.virtual_s for outcome in outcomes)
    real_s = sum(outcome.real_s for outcome in outcomes)
    held = sum(outcome.violation is None for outcome in outcomes)
    typer.echo(
        f"{held} of {len(outcomes)} seeds hold; {virtual_s:,.0f} virtual seconds in {real_s:,.0f} "
        f"seconds of processor time, {sum(outcome.happened for outcome in outcomes):,} events"
    )


def _print_json(
    outcomes: "Sequence[Outcome]", failed: "Outcome | None", shortest: "CasePlan | None"
) -> None:
    import msgspec

    document: dict[str, Any] = {
        "seeds": [{**asdict(o), "violation": msgspec.to_builtins(o.violation)} for o in outcomes],
        "holds": failed is None,
        "shortest": msgspec.to_builtins(shortest),
    }
    print_json(document)
