"""The gradient formulas that are fastest on onnxruntime's CPU provider."""

from __future__ import annotations

from ...gradient.tuning import GradientTuning

CPU_GRADIENTS = GradientTuning(
    # One product over the batch is faster than a product per sample while there are few windows.
    max_batched_windows=64,
    # With few channels or filters, the convolution over the batch is not faster than im2col.
    max_im2col_channels=15,
    # A product of image rows computes width * width entries for each row, so it pays off for narrow images only.
    max_row_product_width=32,
    # onnxruntime's ConvTranspose of volumes runs on one thread, Conv on all of them.
    convolves_volume_gradients=True,
    # Beyond as many inputs as units, concatenating the row costs more than a second product.
    max_inputs_per_unit=1.0,
    # Products with the inputs of all steps at once use the weights of large layers better.
    max_row_weights=1 << 20,  # an LSTM with 512 units
    # For few samples, starting the nodes of a step takes longer than computing them.
    max_small_batch=4,
    # Longer loops gain little by unrolling, and the session takes much longer to load.
    max_unrolled_steps=32,
    # Unrolled steps of large layers share one packed copy of their weights (`tuning.cpu.recurrent.convert`), which is
    # not done for small batches. The session's load time bounds the number of steps.
    max_total_unrolled_steps=128,
    min_unroll_weights=1 << 18,  # an LSTM with 256 units
    # Where the products take nearly all the time, loops share packed weights (`tuning.cpu.recurrent.loops`).
    max_unroll_weights=1 << 20,  # an LSTM with 512 units
    min_unroll_batch=8,
)
"""The values are measured; docs/internals/tuning-log.md has the timings. Changing one changes the training graphs."""
