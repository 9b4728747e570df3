"""Hashes of every artefact compiled from a spec, to show that a refactoring changes none of them.

A redesign that must not change behaviour is checked in three steps, all from the folder `tests`, on the same machine
and with the same versions of onnxruntime, onnx and NumPy:

1. On the commit before the redesign, record the hashes: `python -m campaigns.graph_hashes record before.json`.
2. On the commit after it, record them again: `python -m campaigns.graph_hashes record after.json`.
3. Compare the two files: `python -m campaigns.graph_hashes compare before.json after.json`. It prints every id whose
   hashes differ, every missing id and every new id, and exits with status 1 if there are any.

The hashes cover samples, layer cases, losses, optimizers, benchmark networks and random models: the compiled models,
the files and the output of `jsonnx compile`, and the graphs and session options that a trainer passes to onnxruntime.
No graph is run. `record --only SUBSTRING` restricts the ids, for a check of one part while working on it.

To inspect a difference, run `record --only ID --save-models DIR` on both commits and compare the two folders with
`diff -r`; models are also saved as text. `package.py` has every use of private names of jsonnx; adapt it if they are
renamed, and take the file along when recording on an older commit.
"""
