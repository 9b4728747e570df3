"""Records the losses of Keras for the samples, for the ordinary suite."""

from __future__ import annotations

import json

from check_samples import keras_losses

from samples import FIXTURE, NAMES

if __name__ == "__main__":
    FIXTURE.parent.mkdir(exist_ok=True)
    FIXTURE.write_text(json.dumps({name: keras_losses(name) for name in NAMES}, indent=1) + "\n")
