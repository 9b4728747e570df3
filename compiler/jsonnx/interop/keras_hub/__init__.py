"""Imports models that KerasHub saved: `.keras` files whose configuration names a class and sizes, but no layers.

`read_model` has the tables of classes. A function of `encoders`, `images` or `decoders` makes of a backbone's
configuration the entries that `interop/hugging_face` has for the architecture, and a table says where the file has the
weights of each layer (`stored_weights`). `heads` has what a task adds to its backbone.
"""
