"""Measurements: throughput, latency, memory and connections, always against a stated floor."""
