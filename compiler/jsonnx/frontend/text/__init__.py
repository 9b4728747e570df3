"""The text of a spec: its canonical format, and edits that keep everything else."""
