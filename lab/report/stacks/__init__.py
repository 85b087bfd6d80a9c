"""The parts of the report that are about runs of protocol stacks."""
