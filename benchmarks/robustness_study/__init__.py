"""The sections of `benchmarks/robustness.py`: each gives cells to measure, and a text of them."""
