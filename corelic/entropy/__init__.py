"""Numbers <-> bytes. Knows nothing of pictures or of any codec's networks.

`container` is the file around the numbers, `coder` turns symbols into bytes under given frequency
tables, `distributions` makes such tables, `grid` computes their indexes exactly on any machine.
Import the module you need: this package imports none, so that reading a header stays cheap.
"""
