"""Scan geometry: orders, blocks and schedules. The network and the pictures share it."""
