"""The search for values of a spec, trial by trial."""
