"""Memory, time and files of large networks in training, beside PyTorch: `sh benchmarks/run.sh large --help`."""
