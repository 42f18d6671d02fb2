"""What work on a picture may take, unless told otherwise; imports nothing, so it costs nothing."""

MEMORY_BYTES = 2 * 10**9  # beside the picture, the weights and the libraries
