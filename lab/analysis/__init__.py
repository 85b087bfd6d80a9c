"""Analysis of runs: throughput, the claims' measurements, the fidelity certificate."""

from lab.analysis.certificate import Certificate, CheckResult
from lab.analysis.fidelity import certify
from lab.analysis.run import analyse, observe, verdicts_of

__all__ = [
    "Certificate",
    "CheckResult",
    "analyse",
    "certify",
    "observe",
    "verdicts_of",
]
