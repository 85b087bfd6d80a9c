"""Claims of the documents: the registry and the rules by which a measurement is judged."""

from lab.claims.judge import Measurement, Outcome, Verdict, judge, summary
from lab.claims.registry import SYSTEMS, Claim, find_claim, load_registry

__all__ = [
    "SYSTEMS",
    "Claim",
    "Measurement",
    "Outcome",
    "Verdict",
    "find_claim",
    "judge",
    "load_registry",
    "summary",
]
