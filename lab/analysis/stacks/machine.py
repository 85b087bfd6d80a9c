"""What medium, kernel and machine did to a case in containers, for the certificate. Pure."""

from __future__ import annotations

from collections.abc import Callable

from lab.analysis.observations import MissingDataError
from lab.analysis.stacks.observations import StackObservations
from lab.analysis.stacks.shells import disturbed

MEDIUM, DRIVER, MACHINE, KERNEL = "medium", "driver", "machine", "kernel"
Probe = Callable[[StackObservations, str], tuple[float, str]]


def counted(where: str, *names: str) -> Probe:
    """Sum of what an instrument counted."""

    def probe(run: StackObservations, case: str) -> tuple[float, str]:
        values = {name: run.instrument(case, where, name) for name in names}
        about = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
        return sum(values.values()), f"{where}: {about}"

    return probe


def switch_drops(run: StackObservations, case: str) -> tuple[float, str]:
    """Frames that ports of Open vSwitch dropped or found faulty."""
    rows = run.of_case("instruments", case)
    found = rows[
        rows["where"].str.match(r"^ovs s\d+$")
        & rows["name"].isin(["rx_dropped", "tx_dropped", "rx_errors", "tx_errors"])
    ]
    if found.empty:
        raise MissingDataError("the counters of the switches' ports were not recorded")
    return float(found["value"].sum()), "dropped by or faulty at ports of Open vSwitch"


def idle(run: StackObservations, case: str) -> tuple[float, str]:
    """Part of the cores that stood idle; all of them where the case loads them on purpose."""
    if disturbed(run, case):
        return 1.0, "processors are loaded on purpose, so nothing is to be judged"
    part = 1 - run.instrument(case, MACHINE, "machine_cores") / run.cores
    return part, f"{part:.0%} of {run.cores} cores idle"


def steal(run: StackObservations, case: str) -> tuple[float, str]:
    """Part of the cores that a hypervisor took."""
    part = run.instrument(case, MACHINE, "steal_cores") / run.cores
    return part, f"{part:.1%} of the cores taken by other machines"


def throttled(run: StackObservations, case: str) -> tuple[float, str]:
    """Periods in which nodes were held back that the case does not load on purpose."""
    nodes = [
        node for node in range(1, run.planned[case].nodes + 1) if node not in disturbed(run, case)
    ]
    total = sum(run.instrument(case, f"n{node}", "nr_throttled") for node in nodes)
    return total, f"{total:g} throttled periods in {len(nodes)} nodes"
