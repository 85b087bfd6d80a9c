"""What runs of the MSCS stack say about the claims of thesis chapter 7, a module a family."""

from lab.analysis.mscs import heartbeat, join, partition, regroup
from lab.analysis.stacks.observations import StackMeasures

MEASURES = StackMeasures().merged(
    heartbeat.MEASURES, join.MEASURES, partition.MEASURES, regroup.MEASURES
)
