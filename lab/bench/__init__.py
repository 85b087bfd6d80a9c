"""Benchmarks: how fast this machine does what the lab is made of."""
