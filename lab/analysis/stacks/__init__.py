"""Analysing runs of protocol stacks: what any stack's measurements are made from."""
