"""Reads data: tables, arrays, images, sounds and texts, in memory or block by block from their files.

Takes names of files or arrays, and what the inputs and targets of a network need; gives samples, or errors with their
file, row and column. The only room that imports DuckDB, pyarrow and Pillow.
"""
