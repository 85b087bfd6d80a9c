"""A run's tables with what every analysis asks of them. Computes, reads no files."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import pandas as pd

from lab.analysis.throughput import port_throughput, ports_at, step_throughput
from lab.scenarios.model import Engine, Pass, Scenario
from lab.scenarios.plan import full_messages_per_s

QUENCH = "quench"
LINK = "link"
_EPSILON = 1e-9


class MissingDataError(Exception):
    """A measurement lacks what it is to be computed from; the text says what."""


@dataclass(frozen=True)
class Observations:
    """What was observed in one run, and the scenario that it ran."""

    scenario: Scenario
    tables: Mapping[str, pd.DataFrame]
    cores: int = 1
    engine: Engine = "emulation"
    digest: str | None = None

    @cached_property
    def bin_ns(self) -> int:
        """Width of the endpoints' bins, virtual ns."""
        return round(self.scenario.timeline.bin_s * 1e9)

    @cached_property
    def streams(self) -> pd.DataFrame:
        """Columns stream, group: all streams of the scenario."""
        pairs = [(stream.name, stream.group) for stream in self.scenario.all_streams]
        return pd.DataFrame(pairs, columns=["stream", "group"])

    @cached_property
    def streams_by_pass(self) -> pd.DataFrame:
        """Columns pass, stream, group: who takes part in which pass."""
        rows = [
            (passing.name, stream.name, stream.group)
            for passing in self.scenario.passes
            for stream in self.scenario.streams_of(passing)
        ]
        return pd.DataFrame(rows, columns=["pass", "stream", "group"])

    @cached_property
    def throughput(self) -> pd.DataFrame:
        """Throughput at the sinks per pass, step and stream."""
        return step_throughput(
            self.tables["flows"], self.tables["steps"], self.streams_by_pass, self.bin_ns
        )

    @cached_property
    def sent(self) -> pd.DataFrame:
        """What the adapters accepted from the senders, per pass, step and stream."""
        return step_throughput(
            self.tables["flows"],
            self.tables["steps"],
            self.streams_by_pass,
            self.bin_ns,
            role="send",
        )

    @cached_property
    def ports(self) -> pd.DataFrame:
        """Columns stream, group, in_port, out_port at the switch under test."""
        return ports_at(self.tables["vcs"], self.switch)

    @cached_property
    def port_throughput(self) -> pd.DataFrame:
        """Throughput out of each port of the switch under test."""
        return port_throughput(self.throughput, self.tables["vcs"], self.switch)

    @property
    def switch(self) -> str:
        """The switch under test; ``MissingDataError`` when the scenario names none."""
        if self.scenario.observe is None:
            raise MissingDataError("the scenario names no switch to observe")
        return self.scenario.observe.switch

    @property
    def hot_port(self) -> int:
        """Its contended port."""
        if self.scenario.observe is None:
            raise MissingDataError("the scenario names no switch to observe")
        return self.scenario.observe.contended_port

    @property
    def swept(self) -> str:
        """The group whose send rate is varied, or which is added to."""
        sweep = self.scenario.timeline.sweep
        if sweep is None or sweep.group is None:
            raise MissingDataError("the scenario varies no group of streams")
        return sweep.group

    @property
    def full_mbyte_per_s(self) -> float:
        """Payload rate of a link that does nothing else, from the configured link and cells."""
        return full_messages_per_s(self.scenario) * self.scenario.workload.message_bytes / 1e6

    # -- passes --------------------------------------------------------------------------

    def passes(self, flow_control: str) -> tuple[Pass, ...]:
        """The passes with that flow control; ``MissingDataError`` when there is none."""
        found = tuple(p for p in self.scenario.passes if p.flow_control == flow_control)
        if not found:
            raise MissingDataError(f"the run has no pass with flow control {flow_control!r}")
        return found

    def pass_named(self, flow_control: str) -> str:
        """Name of the first pass with that flow control."""
        return self.passes(flow_control)[0].name

    def pairs(self) -> tuple[tuple[Pass, Pass], ...]:
        """Passes with quench, each with the one without that is otherwise the same."""
        found = []
        for on in self.passes(QUENCH):
            what = (on.groups, on.fabric, on.adapter)
            twins = [p for p in self.passes(LINK) if (p.groups, p.fabric, p.adapter) == what]
            found += [(on, twins[0])] if twins else []
        if not found:
            raise MissingDataError("no pass with quench has a counterpart without")
        return tuple(found)

    def of_pass(self, table: str, flow_control: str) -> pd.DataFrame:
        """The rows of a table that belong to the first pass with that flow control."""
        return self.rows(table, self.pass_named(flow_control))

    def rows(self, table: str, pass_name: str) -> pd.DataFrame:
        """The rows of a table that belong to one pass."""
        frame = self.tables[table]
        if table not in self._blocks:
            self._blocks[table] = _blocks(frame["pass"])
        blocks = self._blocks[table]
        if blocks is None:
            return frame[frame["pass"] == pass_name]
        return frame.iloc[blocks.get(pass_name, slice(0, 0))]

    @cached_property
    def _blocks(self) -> dict[str, dict[str, slice] | None]:
        """By table, where the rows of each pass lie.

        A slice of a hundred million rows costs nothing, to choose them costs seconds each time.
        """
        return {}

    # -- throughput ----------------------------------------------------------------------

    def measured(self, pass_name: str) -> pd.DataFrame:
        """Rows of ``throughput`` of one pass.

        Raises:
            MissingDataError: nothing that was received in it is on record.
        """
        found = self.throughput[self.throughput["pass"] == pass_name]
        if found.empty or self.rows("flows", pass_name).empty:
            raise MissingDataError(f"pass {pass_name!r} has no record of what was received")
        return found

    def cells(
        self,
        flow_control: str,
        group: str | None,
        *,
        at_least: float = 0.0,
        at_most: float = math.inf,
    ) -> pd.DataFrame:
        """Rows of ``throughput``: one pass, one group (None: all), step values in a range.

        Raises:
            MissingDataError: no such pass, step or stream was measured.
        """
        frame = self.measured(self.pass_named(flow_control))
        chosen = frame[
            (frame["value"] >= at_least - _EPSILON) & (frame["value"] <= at_most + _EPSILON)
        ]
        if group is not None:
            chosen = chosen[chosen["group"] == group]
        if chosen.empty:
            raise MissingDataError(
                f"pass {self.pass_named(flow_control)!r} has no measured step from {at_least:g} "
                f"to {at_most:g}"
            )
        return chosen

    @cached_property
    def steady(self) -> str:
        """The group that is not swept (the background)."""
        others = [group for group in self.streams["group"].unique() if group != self.swept]
        if len(others) != 1:
            raise MissingDataError("the scenario has not exactly one group beside the swept one")
        return str(others[0])

    def undisturbed(self, flow_control: str) -> pd.Series[float]:
        """Throughput of each background stream while nothing disturbs it, MByte/s."""
        alone = self.cells(flow_control, self.steady, at_most=0.0)["mbyte_per_s"]
        if not alone.sum():
            raise MissingDataError("the undisturbed streams received nothing")
        return alone

    def stream_maximum(self) -> float:
        """The most that an undisturbed stream reached in this run, MByte/s.

        The registry judges ratios against the maximum of the same run (``fabric-link-rate``).
        """
        modes = {passing.flow_control for passing in self.scenario.passes}
        return max(float(self.undisturbed(mode).max()) for mode in modes)

    # -- routes and counters -------------------------------------------------------------

    def vcs_of(self, group: str) -> dict[int, str]:
        """VC -> stream of a group; ``MissingDataError`` when the table of routes is empty."""
        vcs = self.tables["vcs"]
        if vcs.empty:
            raise MissingDataError("the table of routes is missing")
        rows = vcs[vcs["group"] == group].drop_duplicates("vc")
        return dict(zip(rows["vc"].astype(int), rows["stream"].astype(str), strict=True))

    @cached_property
    def links(self) -> pd.DataFrame:
        """Columns vc, stream, node, port, next: every directed link that a VC uses."""
        vcs = self.tables["vcs"].sort_values(["vc", "hop"])
        following = vcs.groupby("vc")["node"].shift(-1)
        used = vcs.assign(next=following)[following.notna()]
        # A host has one port, number 0, whatever a route calls it.
        port = used["out_port"].where(used["out_port"] > 0, 0)
        return used.assign(port=port)[["vc", "stream", "node", "port", "next"]]

    def links_in(self, passing: Pass) -> pd.DataFrame:
        """The rows of ``links`` of the streams that take part in a pass."""
        names = [stream.name for stream in self.scenario.streams_of(passing)]
        found = self.links[self.links["stream"].isin(names)]
        if found.empty:
            raise MissingDataError("the table of routes is missing")
        return found

    @cached_property
    def switches_passed(self) -> dict[str, int]:
        """Stream -> number of switches on its route."""
        vcs = self.tables["vcs"]
        inner = vcs[(vcs["node"] != vcs["src"]) & (vcs["node"] != vcs["dst"])]
        return {str(stream): int(n) for stream, n in inner.groupby("stream")["node"].size().items()}

    def counter(self, pass_name: str, where: str, name: str) -> float | None:
        """One counter of a pass; None when it was not recorded."""
        counters = self.tables["counters"]
        found = counters[
            (counters["pass"] == pass_name)
            & (counters["where"] == where)
            & (counters["name"] == name)
        ]
        return None if found.empty else float(found["value"].iloc[-1])

    def switch_counters(self, pass_name: str, name: str) -> dict[str, float]:
        """One counter of every switch, by the switch's name."""
        counters = self.tables["counters"]
        chosen = counters[(counters["pass"] == pass_name) & (counters["name"] == name)]
        return {
            str(where): float(value)
            for where, value in zip(chosen["where"], chosen["value"], strict=True)
            if re.fullmatch(r"s\d+", str(where))
        }


def _blocks(passes: pd.Series[str]) -> dict[str, slice] | None:
    """Where each pass begins and ends; None when its rows do not lie together."""
    codes, names = pd.factorize(passes)
    edges = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(codes)]
    if len(edges) - 1 > max(len(names), 1):
        return None
    return {str(names[codes[a]]): slice(a, b) for a, b in pairwise(edges) if a < b}
