"""The registry of testable statements, ``scenarios/claims.yaml``, and its schema.

Each row is one statement of Vogels' thesis (``thesis``) or of Birman & Clark 1994 (``isis``).
The header of the file is the specification of the fields; :mod:`lab.claims.judge` applies it.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from lab.errors import LabError
from lab.located_yaml import Document, allowed_text, read, validate
from lab.paths import SCENARIOS

REGISTRY_PATH = SCENARIOS / "claims.yaml"

Kind = Literal["exact", "ratio", "shape", "ordering", "guarantee", "function", "era"]
ClaimRole = Literal["check", "input"]
Value = float | Annotated[list[float], Field(min_length=2, max_length=2)] | str | None

# First word of a claim's id -> what the user calls the system.
SYSTEMS = {
    "unet": "U-Net",
    "via": "VIA",
    "fabric": "AC3 Velocity fabric",
    "isis": "Isis",
    "mscs": "MSCS",
    "galaxy": "Galaxy",
    "quintet": "Quintet",
    "fstrace": "NT file-system trace",
}


class Claim(BaseModel):
    """One testable statement."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    id: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9.]+)+$", description="System, then a name.")
    source: str = Field(pattern=r"^(thesis|isis)\b", description="Document and section.")
    claim: str = Field(min_length=1, description="The statement in words.")
    quantity: str | None = Field(default=None, description="What is measured.")
    value: Value = Field(
        default=None,
        description="Number, [low, high], bound ('>= x', '<= x'), or a formula, order or tuple.",
    )
    unit: str | None = Field(default=None, description="Unit of the value.")
    kind: Kind
    baseline: str | None = Field(
        default=None, description="What a ratio refers to; begins with its number where known."
    )
    role: ClaimRole = Field(description="check: must emerge; input: configured.")
    tolerance: float | None = Field(
        default=None, ge=0, description="Relative to the value; absolute where the value is 0."
    )
    conditions: str | None = None
    note: str | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.kind == "ratio" and (self.baseline is None or self.value is None):
            raise ValueError("a claim of kind ratio needs a value and a baseline")
        if isinstance(self.value, list) and self.value[0] > self.value[1]:
            raise ValueError("the range [low, high] is the wrong way round")
        if self.system not in SYSTEMS:
            raise ValueError(f"the id must begin with one of {', '.join(SYSTEMS)}")
        return self

    @property
    def system(self) -> str:
        """Key of :data:`SYSTEMS`."""
        return self.id.split("-", 1)[0]

    @property
    def expected_text(self) -> str:
        """The published value in words; empty where the text gives none."""
        if self.value is None:
            return ""
        if isinstance(self.value, list):
            text = f"{self.value[0]:g} to {self.value[1]:g}"
        else:
            text = self.value if isinstance(self.value, str) else f"{self.value:g}"
        return f"{text} {self.unit}" if self.unit and self.unit != "fraction" else text


def parse_registry(document: Document) -> tuple[Claim, ...]:
    """All claims of a document, in its order.

    Raises:
        LabError: naming file, line and field of the first row that breaks the schema.
    """
    if not isinstance(document.data, list):
        raise document.error((), "the registry is a list of claims")
    claims: list[Claim] = []
    first_at: dict[str, int] = {}
    for index, _ in enumerate(document.data):
        claim = validate(Claim, document, (index,))
        if claim.id in first_at:
            raise document.error(
                (index, "id"),
                f"{claim.id!r} is given twice (first in {document.where((first_at[claim.id],))})",
            )
        first_at[claim.id] = index
        claims.append(claim)
    return tuple(claims)


@lru_cache(maxsize=8)
def load_registry(path: Path = REGISTRY_PATH) -> tuple[Claim, ...]:
    """Read the registry file; the same file is read once per process."""
    return parse_registry(read(path))


def find_claim(claim_id: str, path: Path = REGISTRY_PATH) -> Claim:
    """The claim of that id.

    Raises:
        LabError: when there is none; names the nearest spelling.
    """
    claims = {claim.id: claim for claim in load_registry(path)}
    if claim_id not in claims:
        system = claim_id.split("-", 1)[0]
        same_system = [known for known, claim in claims.items() if claim.system == system]
        raise LabError(
            f"there is no claim {claim_id!r}",
            remedy=allowed_text(same_system or list(claims), claim_id),
        )
    return claims[claim_id]
