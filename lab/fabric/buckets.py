"""The buckets in which line cards count the emulation's own delays; ``lateness.c`` has the same."""

LATENESS_BOUNDS_US = (
    500,
    1000,
    2000,
    5000,
    10_000,
    15_000,
    20_000,
    30_000,
    50_000,
    70_000,
    100_000,
)
"""Upper ends of the buckets of lateness and crossing time, real microseconds."""

LATENESS_BUCKETS = (*(f"le_{us}" for us in LATENESS_BOUNDS_US), f"gt_{LATENESS_BOUNDS_US[-1]}")

EXCESS_BUCKETS = ("exc_0", "exc_le_100", "exc_le_1000", "exc_le_10000", "exc_gt_10000")
"""Crossings by how much longer than modelled they took, virtual ns."""
