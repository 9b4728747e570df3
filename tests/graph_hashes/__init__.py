"""Hashes of everything that is made of a spec, to show that a refactoring changes none of it.

In `tests`: `python -m graph_hashes record before.json`, and later `python -m graph_hashes compare before.json
after.json`. A graph that differs is found with `record --only ID --save-models DIR` before and after the change, and
`diff -r` of the two folders.
"""
