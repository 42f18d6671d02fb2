"""What holds unless told otherwise; imports nothing, so it costs nothing."""

MEMORY_BYTES = 2 * 10**9  # beside the picture, the weights and the libraries
DEFAULT_QUALITY = 50.0
