"""Matrix products of unrolled recurrent networks as NCHWc convolutions."""
