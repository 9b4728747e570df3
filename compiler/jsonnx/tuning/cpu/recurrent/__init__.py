"""Matrix products of recurrent networks as NCHWc convolutions."""
