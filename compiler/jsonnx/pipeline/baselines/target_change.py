"""The transform and normalization of targets, which fitted baselines predict as the network does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ...analysis.shape_inference import TypedNetwork
from ...backend import to_model_proto
from ...core.numpy_types import numpy_dtype
from ...runtime.session.session import Session
from ...training.target_form import TargetForm
from ..compile.graphs import target_graph


@dataclass(frozen=True)
class TargetChange:
    """What the loss of an output compares in place of the target, with the statistics that training has learned."""

    form: TargetForm
    dtype: np.dtype
    forward: Session
    inverse: Session

    @staticmethod
    def of(typed: TypedNetwork, output: str, statistics: Mapping[str, np.ndarray]) -> TargetChange | None:
        """The change of the target of an output; None if the loss compares the target itself."""
        form = typed.network.target_forms.get(output)
        if form is None or not form.changes_targets:
            return None
        forward, inverse = (
            Session(to_model_proto(target_graph(typed, output, statistics, is_inverse=is_inverse)))
            for is_inverse in (False, True)
        )
        return TargetChange(form, numpy_dtype(typed.types[output].dtype), forward, inverse)

    def changed(self, true: np.ndarray) -> np.ndarray:
        """The numbers [samples, units] that are predicted in place of targets."""
        return self.forward.run({"x": true.astype(self.dtype)})["y"].astype(np.float64)

    def restored(self, predicted: np.ndarray) -> np.ndarray:
        """Predictions [samples, units] in the unit of the target."""
        return self.inverse.run({"x": predicted.astype(self.dtype)})["y"].astype(np.float64)

    @property
    def text(self) -> str:
        """The numbers that are predicted, in a few words."""
        name = "the normalized target" if self.form.transform is None else f"the {self.form.transform} of the target"
        return f"{name}, normalized" if self.form.transform is not None and self.form.is_normalized else name
