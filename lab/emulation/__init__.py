"""The real network: Open vSwitch bridges, veth pairs, hosts, circuits, and their removal."""
