"""Commands that rewrite spec files: `fmt` and `--fix`."""
