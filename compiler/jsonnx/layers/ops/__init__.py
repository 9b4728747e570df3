"""The functions of keras.ops and keras.random as layers: `{"type": "ops.mean", "axis": -1}`.

Most are registered in tables with one line each; those with their own shape rules are classes.
"""
