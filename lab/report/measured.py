"""What the figures of a run are drawn from, each computed once and only when asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from lab.report import info
from lab.report.axis import StepAxis
from lab.report.measures import active, by_group, latencies, stream_throughput
from lab.report.rundata import RunData


@dataclass(frozen=True)
class Measured:
    """What the figures of a run are drawn from, computed once."""

    run: RunData

    @cached_property
    def streams(self) -> pd.DataFrame:
        """Throughput of each stream in each step."""
        run = self.run
        return stream_throughput(run.table("flows"), run.table("steps"), run.table("vcs"))

    @cached_property
    def groups(self) -> pd.DataFrame:
        """The same by group, streams that should be silent left out."""
        return by_group(active(self.streams, info.rates(self.run)))

    @cached_property
    def latencies(self) -> pd.DataFrame:
        """Windows with latencies, with size, name and value of their step."""
        return latencies(self.run.table("windows")).merge(self._steps, on=["pass", "step"])

    @property
    def _steps(self) -> pd.DataFrame:
        return self.run.table("steps")[["pass", "step", "name", "value", "message_bytes"]]

    @cached_property
    def switches(self) -> pd.Series:
        """Number of switches on the path of each stream."""
        vcs = self.run.table("vcs")
        inside = vcs[(vcs["node"] != vcs["src"]) & (vcs["node"] != vcs["dst"])]
        return inside.groupby("stream")["node"].size()

    @cached_property
    def axis(self) -> StepAxis:
        """What varies from step to step."""
        return info.axis(self.run)

    @cached_property
    def sets(self) -> list[info.PassSet]:
        """The passes, on beside off."""
        return info.pass_sets(self.run)

    @cached_property
    def claims(self) -> set[str]:
        """The claims that the run tests."""
        return info.claims(self.run)

    def paced(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows of streams that were told to send more slowly than they could."""
        return self._by_rate(table, lambda rate: 0 < rate < 1)

    def greedy(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows of streams that sent as fast as they could."""
        return self._by_rate(table, lambda rate: rate >= 1)

    def _by_rate(self, table: pd.DataFrame, wanted: Callable[[float], bool]) -> pd.DataFrame:
        rates = info.rates(self.run)
        pairs = zip(table["stream"].astype(str), table["step"].astype(int), strict=True)
        kept = [wanted(rates.get(pair, 1.0)) for pair in pairs]
        return table[pd.Series(kept, index=table.index, dtype=bool)]
