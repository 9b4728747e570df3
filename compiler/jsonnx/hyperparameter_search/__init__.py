"""The search for values of a spec: the space, the samplers that propose trials, pruning, and the SWEEP folder.

This room knows neither networks nor training: a trial is a set of values, and its result is a number for each epoch.
"""
