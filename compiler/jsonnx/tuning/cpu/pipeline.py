"""The CPU passes, in the order in which they are applied to a graph before its session is created."""

from __future__ import annotations

from functools import reduce

from ...ir import Graph
from .embeddings.scatter_gradient import scatter_embedding_gradients
from .gated_add import fuse_gated_adds
from .matmul.fuse import fuse_matmuls
from .matmul.partition_rows import partition_rows
from .matmul.transpose_small import transpose_small_matmuls
from .nchwc.conv1d_as_conv2d import conv1d_to_conv2d
from .nchwc.conv3d_as_conv2d import conv3d_to_conv2d
from .nchwc.convert import to_nchwc
from .nchwc.copy_summands import copy_live_summands
from .recurrent.convert import recurrent_matmuls_to_nchwc
from .recurrent.loops import loop_matmuls_to_nchwc
from .schedule import rematerialize_and_schedule
from .target import Pass, Target

CPU_PASSES: tuple[Pass, ...] = (
    scatter_embedding_gradients,  # needs the gradient info of Gather; writes each row of a table's gradient once
    conv1d_to_conv2d,  # leaves no float32 Conv of rank 3 that `to_nchwc` could convert as an image
    conv3d_to_conv2d,  # the same for rank 5
    to_nchwc,  # needs convolutions of images with their gradient info; may put code for one batch size into an If
    recurrent_matmuls_to_nchwc,  # needs unrolled recurrences in the plain layout
    loop_matmuls_to_nchwc,  # the same for loops that are not unrolled
    fuse_gated_adds,  # needs Mul and Add of an optimizer's update unfused
    transpose_small_matmuls,  # needs MatMul(x, Transpose(weight)) unfused
    partition_rows,  # needs MatMul and its Transposes unfused
    fuse_matmuls,  # no pass after it matches MatMul
    rematerialize_and_schedule,  # no pass after it may merge equal nodes or reorder nodes
    copy_live_summands,  # needs the final order, to know which summands are read later
)


def optimize_for_cpu(graph: Graph, target: Target) -> Graph:
    """A graph that computes the same values and is faster on the target."""
    return reduce(lambda result, apply: apply(result, target), CPU_PASSES, graph)
