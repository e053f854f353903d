"""The parts of Benchmarks/recovery."""
