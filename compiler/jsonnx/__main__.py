"""`python -m jsonnx`."""

from .cli import main

main(prog_name="jsonnx")
