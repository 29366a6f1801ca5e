"""tools.benchmarks."""
