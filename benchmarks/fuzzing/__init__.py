"""What `benchmarks/fuzz.py` feeds to the decoder."""
