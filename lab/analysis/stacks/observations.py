"""The tables of a run of a stack with what every analysis asks of them. Reads no files."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec
import pandas as pd

from lab.analysis.measuring import MeasureTable
from lab.analysis.observations import MissingDataError
from lab.scenarios.cases import PlannedCase, planned_cases
from lab.scenarios.model import Engine
from lab.scenarios.stack_model import StackScenario

_json = msgspec.json.Decoder()


@dataclass(frozen=True)
class StackObservations:
    """What was observed in one run of a stack, and the scenario that it ran."""

    scenario: StackScenario
    tables: Mapping[str, pd.DataFrame]
    cores: int = 1
    engine: Engine = "emulation"
    digest: str | None = None

    # -- cases ---------------------------------------------------------------------------

    @cached_property
    def planned(self) -> dict[str, PlannedCase]:
        """The cases of the scenario by name."""
        return {case.name: case for case in planned_cases(self.scenario)}

    @cached_property
    def cases(self) -> pd.DataFrame:
        """The table of cases by name, with the name of each one's sweep as ``sweep`` and a column
        for each parameter that any case has."""
        table = self.tables["cases"]
        parameters = pd.DataFrame(
            [json.loads(text) for text in table["parameters"]], index=table.index
        )
        words = {
            column: table[column].astype("str")
            for column in ("case", "load", "network_load", "medium", "variant")
        }
        words["sweep"] = words["case"].map(
            {name: planned.sweep for name, planned in self.planned.items()}
        )
        return table.assign(**words).join(parameters).set_index("case")

    def chosen(self, **labels: object) -> pd.DataFrame:
        """The rows of :attr:`cases` with these labels, such as ``variant="plain", load="idle"``.

        Raises:
            MissingDataError: there is none that was carried out.
        """
        found = self.cases[self.cases["ended_s"].notna()]
        for label, value in labels.items():
            found = found[found[label] == value] if label in found else found[:0]
        if found.empty:
            told = ", ".join(f"{label} {value}" for label, value in labels.items())
            raise MissingDataError(f"the run has no case with {told}" if told else "no case ended")
        return found

    def names(self, **labels: object) -> list[str]:
        """The names of the cases of :meth:`chosen`."""
        return [str(name) for name in self.chosen(**labels).index]

    def ended_s(self, case: str) -> float:
        """How long a case lasted, virtual seconds; nan when it was not carried out to its end."""
        found = self.cases["ended_s"].get(case, math.nan)
        return float(str(found))

    # -- tables by case ------------------------------------------------------------------

    @cached_property
    def _rows(self) -> dict[str, dict[str, Any]]:
        """Of each table the positions of each case's rows."""
        return {
            name: {
                str(case): at for case, at in table.groupby("case", observed=True).indices.items()
            }
            for name, table in self.tables.items()
            if name != "cases"
        }

    def of_case(self, table: str, case: str) -> pd.DataFrame:
        """The rows of a table that belong to a case, in the order of time."""
        positions = self._rows[table].get(case)
        return self.tables[table].iloc[[] if positions is None else positions]

    def events(self, case: str, kind: str, phase: str | None = None) -> pd.DataFrame:
        """Events of a kind in a case, with a column for each field that any of them has."""
        found = self.of_case("events", case)
        found = found[found["kind"] == kind]
        if phase is not None:
            found = found[found["phase"] == phase]
        fields = pd.DataFrame([_json.decode(text) for text in found["fields"]], index=found.index)
        own = found.drop(columns=["fields", *(c for c in fields if c in found)])
        return own.join(fields)

    def messages(
        self,
        case: str,
        label: str | Sequence[str] | None = None,
        direction: str | None = "send",
    ) -> pd.DataFrame:
        """Datagrams of a case, as they were sent, or received, or both (None)."""
        found = self.of_case("messages", case)
        if direction is not None:
            found = found[found["direction"] == direction]
        if label is not None:
            found = found[found["label"].isin([label] if isinstance(label, str) else label)]
        return found

    def requests(self, case: str, name: str | None = None) -> pd.DataFrame:
        """What was asked in a case, with ``took_s``, nan where nobody answered."""
        found = self.of_case("requests", case)
        if name is not None:
            found = found[found["name"] == name]
        return found.assign(took_s=found["replied_s"] - found["t_s"])

    def instrument(self, case: str, where: str, name: str) -> float:
        """What an instrument counted in a case; ``MissingDataError`` when it did not."""
        found = self.of_case("instruments", case)
        found = found[(found["where"] == where) & (found["name"] == name)]
        if found.empty:
            raise MissingDataError(f"{name} of {where} was not counted")
        return float(found["value"].iloc[-1])

    def fault_times_s(self, case: str, *faults: str) -> list[float]:
        """When these faults were done to nodes of a case, or any at all."""
        found = self.of_case("events", case)
        found = found[found["kind"] == "fault"]
        if faults:
            found = found[found["phase"].isin(faults)]
        return [float(t_s) for t_s in found["t_s"]]


StackMeasures = MeasureTable[StackObservations]
"""Of runs of a stack."""
