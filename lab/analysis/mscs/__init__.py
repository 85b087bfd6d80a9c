"""What runs of the MSCS stack say about the claims of thesis chapter 7, a module a family."""

from lab.analysis.mscs import (
    failover,
    gup,
    gup_failures,
    gup_loaded,
    heartbeat,
    join,
    join_loaded,
    partition,
    regroup,
    regroup_messages,
)
from lab.analysis.stacks.observations import StackMeasures

MEASURES = StackMeasures().merged(
    failover.MEASURES,
    gup.MEASURES,
    gup_failures.MEASURES,
    gup_loaded.MEASURES,
    heartbeat.MEASURES,
    join.MEASURES,
    join_loaded.MEASURES,
    partition.MEASURES,
    regroup.MEASURES,
    regroup_messages.MEASURES,
)
