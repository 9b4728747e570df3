"""Records files of older versions of Keras with inputs and outputs: `python record_old_keras_files.py FOLDER`.

Run by Keras 1.2.2 and 2.2.4 on Theano 1.0.5 (Python 3.6, THEANO_FLAGS=cxx=,optimizer=fast_compile), by TensorFlow
2.12 with its own Keras, and by tf-keras 2.21, which writes weights as 2.15 did.
"""

import sys
from pathlib import Path

import numpy as np

try:
    import theano.ifelse  # noqa: F401 - missing import of Keras
    from keras import __version__, layers, models
    from keras import backend as K
except ImportError:
    try:
        from tf_keras import __version__, layers, models
    except ImportError:
        from tensorflow.keras import __version__, layers, models

rng = np.random.RandomState(0)


def record(model, path, x, **options):
    model.set_weights([rng.uniform(0.05, 0.5, w.shape).astype("float32") for w in model.get_weights()])
    model.save("%s.%s" % (path, options.pop("ending", "h5")), **options)  # noqa: UP031
    np.savez("%s.npz" % path, x=x, y=model.predict(x))  # noqa: UP031


def keras1(folder):
    K.set_image_dim_ordering("tf")
    record(
        models.Sequential(
            [
                layers.Convolution2D(4, 3, 3, input_shape=(8, 8, 3), activation="relu"),
                layers.BatchNormalization(),
                layers.MaxPooling2D(),
                layers.Flatten(),
                layers.Dense(3, activation="softmax"),
            ]
        ),
        folder / "keras1_conv",
        rng.rand(2, 8, 8, 3).astype("float32"),
    )
    recurrent = [layers.LSTM(3, return_sequences=True), layers.GRU(2, return_sequences=True), layers.SimpleRNN(3)]
    record(
        models.Sequential([layers.Embedding(10, 4, input_length=5), *recurrent, layers.Dense(2)]),
        folder / "keras1_recurrent",
        rng.randint(0, 10, (2, 5)),
    )
    K.set_image_dim_ordering("th")
    record(
        models.Sequential([layers.Convolution2D(4, 3, 3, input_shape=(3, 8, 8)), layers.Flatten(), layers.Dense(3)]),
        folder / "keras1_th",
        rng.rand(2, 3, 8, 8).astype("float32"),
    )
    keras1_merge(folder)


def keras1_merge(folder):
    """Records a Sequential that begins with a nested Merge of branches."""

    def branch(size):
        return models.Sequential([layers.Dense(3, input_dim=size, activation="tanh")])

    words = models.Sequential([layers.Embedding(10, 4, input_length=5), layers.LSTM(3)])
    both = models.Sequential([layers.Merge([branch(4), branch(5)], mode="sum"), layers.Dense(2)])
    model = models.Sequential([layers.Merge([words, both], mode="concat"), layers.Dropout(0.5), layers.Dense(2)])
    model.set_weights([rng.uniform(0.05, 0.5, w.shape).astype("float32") for w in model.get_weights()])
    model.save(str(folder / "keras1_merge.h5"))
    x = [rng.randint(0, 10, (2, 5)), *(rng.rand(2, size).astype("float32") for size in (4, 5))]
    np.savez(str(folder / "keras1_merge.npz"), *x, y=model.predict(x))


def keras2(folder):
    record(
        models.Sequential(
            [
                layers.Conv2D(4, 3, input_shape=(8, 8, 3), activation="relu", name="conv"),
                layers.BatchNormalization(name="bn"),
                layers.Conv2DTranspose(2, 3, name="up"),
                layers.Flatten(),
                layers.Dense(3, activation="softmax", name="end"),
            ]
        ),
        folder / "keras2_theano",
        rng.rand(2, 8, 8, 3).astype("float32"),
    )
    x = layers.Input((5, 4))
    inner = models.Sequential(
        [layers.Conv1D(4, 2, input_shape=(5, 4), name="c"), layers.Dense(4, name="d")], name="inner"
    )
    y = layers.Bidirectional(layers.LSTM(3, return_sequences=True), name="both")(inner(x))
    model = models.Model(x, layers.GRU(2, name="g")(y))
    record(model, folder / "keras2_recurrent", rng.rand(2, 5, 4).astype("float32"))


def weights_without_names(folder, form):
    """Records weight files without layer names: one whose order is unambiguous, and one with equal layers."""
    x = layers.Input((4,), name="x")
    y = layers.BatchNormalization(name="first")(layers.Dense(4, activation="tanh", name="alike_1")(x))
    y = layers.Dense(4, activation="relu", name="alike_2")(y) * 2.0
    y = layers.Dense(4, name="alike_3")(layers.BatchNormalization(name="second")(y))
    wide, narrow = layers.Dense(5, name="wide")(y), layers.Dense(3, name="narrow")(y)
    record_weights(models.Model(x, layers.Concatenate(name="end")([narrow, wide])), folder / form / "told")
    inner = models.Sequential([layers.Dense(4, name="inner_1"), layers.Dense(4, name="inner_2")], name="inner")
    left, right = layers.Dense(4, name="left")(x), layers.Dense(4, activation="tanh", name="right")(x)
    record_weights(models.Model(x, inner(layers.Subtract(name="minus")([right, left]))), folder / form / "alike")


def record_weights(model, path):
    model.set_weights([rng.uniform(0.05, 0.5, w.shape).astype("float32") for w in model.get_weights()])
    path.parent.mkdir(exist_ok=True)
    path.with_suffix(".json").write_text(model.to_json())
    model.save_weights("%s.weights.h5" % path)  # noqa: UP031
    x = rng.normal(size=(2, 4)).astype("float32")
    np.savez("%s.npz" % path, x=x, y=model(x, training=False))  # noqa: UP031


def tf_keras(folder):
    if __version__ > "2.13":
        weights_without_names(folder, "keras2_15_weights")
    else:
        tf_keras_12(folder)
        weights_without_names(folder, "keras2_12_weights")


def tf_keras_12(folder):
    x = layers.Input((6, 4), name="x")
    encoder = models.Sequential(
        [
            layers.Input((6, 4)),
            layers.Conv1D(3, 2, padding="same", name="first"),
            layers.BatchNormalization(name="normal"),
            layers.Conv1D(4, 2, padding="same", name="second"),
        ],
        name="encoder",
    )
    y = layers.Bidirectional(layers.GRU(2, return_sequences=True), name="both")(encoder(x))
    y = layers.MultiHeadAttention(2, 3, name="heads")(y, y)
    y = layers.TimeDistributed(layers.Dense(4), name="each")(y)
    y = layers.RNN([layers.LSTMCell(3), layers.GRUCell(2), layers.LSTMCell(3)], name="stack")(y)
    y = layers.Dropout(0.5, seed=1, name="dropout")(y)
    y = layers.Normalization(name="scaled", mean=[0.5, 0.6, 0.7], variance=[1.0, 2.0, 3.0])(y)
    model = models.Model(x, layers.Dense(2, name="end")(y), name="every_kind")
    model.compile("adam", "mse")
    model.fit(np.ones((2, 6, 4)), np.ones((2, 2)), verbose=0)
    inputs = rng.normal(size=(2, 6, 4)).astype("float32")
    record(model, folder / "keras2_12", inputs)
    record(model, folder / "keras2_12_archive", inputs, ending="keras", save_format="keras_v3")


if __name__ == "__main__":
    major = "tf" if "tensorflow" in sys.modules else __version__[0]
    {"1": keras1, "2": keras2, "tf": tf_keras}[major](Path(sys.argv[1]))
