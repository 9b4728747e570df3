"""The measurements on a machine with a GPU, of which `benchmarks/gpu.sh` is the command."""
