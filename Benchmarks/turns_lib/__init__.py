"""What benchmarks share whose contenders take turns in one run."""
