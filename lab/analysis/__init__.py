"""Analysis of runs: throughput, the claims' measurements, the fidelity certificate."""

from lab.analysis.fidelity import Certificate, CheckResult, certify
from lab.analysis.run import Agreement, analyse, compare_runs, observe, verdicts_of

__all__ = [
    "Agreement",
    "Certificate",
    "CheckResult",
    "analyse",
    "certify",
    "compare_runs",
    "observe",
    "verdicts_of",
]
