"""For each rule of docs/llms.txt on parameters, blocks, repetition and training, specs that show it or are refused."""

from __future__ import annotations

from unit.render.llms_rules import DENSE, SIGMOID, SOFTMAX, TWO_INPUTS, Refused, Rule, Shown, net, tensor, trained

TWO_STATES = {
    "inputs": ["a", "total"],
    "layers": [{**DENSE, "name": "rest", "from": "a"}, {"type": "Add", "name": "sum", "from": ["rest", "total"]}],
    "outputs": ["rest", "sum"],
}
IMAGE = {"image": tensor(8, 8, 1)}

REUSE_RULES = (
    Rule(
        '`"${...}"` may replace',
        (
            Shown(
                net(
                    {**DENSE, "name": "w_${a[0]}", "units": "${max(1, a[0] // 2) if 3 in a and not wide else 2 ** 3}"},
                    {"type": "ops.multiply", "x2": "${[round(sqrt(w) + log(exp(1)) * pi, 2) for w in a if w > 3]}"},
                    {**DENSE, "units": "${sum(a[1:])}"},
                    {**DENSE, "units": "${exact_div(abs(-8), 4) + ceil(0.5) + floor(0.5) + len(range(2))}"},
                    {"type": "ops.full_like", "fill_value": "${min(a) + sum(a)}"},
                    parameters={"a": [3, 4, 9], "wide": False},
                ),
                {"w_3": (1,), "dense": (13,), "dense_1": (5,)},
            ),
        ),
        (
            Refused(net({**DENSE, "units": "${2 x 3}"}), "invalid-expression"),
            Refused(net({**DENSE, "units": "${width}"}), "unknown-name"),
        ),
    ),
    Rule(
        "A block is used as a type",
        (
            Shown(
                net(
                    {"type": "outer", "name": "stage"},
                    {"type": "Add", "from": ["stage", "stage.side"]},
                    parameters={"width": 4},
                    blocks={
                        "inner": {"globals": ["width"], "layers": [{**DENSE, "units": "${width}"}]},
                        "outer": {"layers": [{"type": "inner", "name": "side"}, {"type": "ReLU", "name": "sum"}],
                                  "outputs": ["sum", "side"]},
                    },
                ),
                {"stage_sum": (4,), "stage_side_dense": (4,)},
            ),
        ),
        (
            Refused(net({"type": "b"}, parameters={"w": 4}, blocks={"b": {"layers": [{**DENSE, "units": "${w}"}]}}),
                    "unknown-name"),
            Refused(net(DENSE, {"type": "b"}, blocks={"b": {"layers": [{**DENSE, "from": "x"}]}}), "unknown-name"),
        ),
    ),
    Rule(
        "Parameters have no names",
        (Shown(net({**DENSE, "units": "${layers * blocks}"}, parameters={"layers": 2, "blocks": 3})),),
        (
            Refused(net({**DENSE, "units": "${index}"}, parameters={"index": 2}), "invalid-name"),
            Refused(net({**DENSE, "units": 2}, parameters={"pi": 2}), "invalid-name"),
            Refused(net({"type": "b"}, blocks={"b": {"parameters": {"name": 3}, "layers": [DENSE]}}), "invalid-name"),
        ),
    ),
    Rule(
        '`"if": "${deep}"`',
        (
            Shown(
                net(
                    {**DENSE, "name": "main"},
                    {**DENSE, "name": "short", "from": "x", "if": "${deep}"},
                    {"type": "Add", "from": ["main", "short"]},
                    parameters={"deep": False},
                ),
                {"add": (4,)},
            ),
        ),
        (
            Refused(net({**DENSE, "if": 0}, DENSE), "wrong-type"),
            Refused(net({**DENSE, "name": "a"}, {"type": "Add", "name": "sum", "from": ["x", "a"], "if": False}, DENSE),
                    "unused-layer"),
        ),
    ),
    Rule(
        '`"repeat": n` chains',
        (
            Shown(
                net(
                    {"type": "Dense", "name": "deep", "units": "${index + 1}", "repeat": 3},
                    {"type": "Concatenate", "from": ["deep_*", "deep", "deep_1"]},
                ),
                {"deep_3": (3,), "concatenate": (10,)},
            ),
            Shown(net({**DENSE, "name": "deep", "repeat": 1}, {"type": "Add", "from": ["deep_*"]}), {"deep": (4,)}),
        ),
        (Refused(net({**DENSE, "units": "${index + 1}"}), "unknown-name"),),
    ),
    Rule(
        "Each copy of a chain takes",
        (
            Shown(net({"type": "std.TransformerCrossDecoder", "from": ["tokens", "memory"], "repeat": 2,
                       "hidden_dim": 8, "intermediate_dim": 8, "num_heads": 2},
                      inputs={"tokens": tensor("time", 8), "memory": tensor(5, 8)})),
            Shown(net({"type": "b", "name": "s", "from": ["x", "x"], "repeat": 3, "carry": ["rest", "sum"]},
                      {**DENSE, "from": "s.sum"}, blocks={"b": TWO_STATES})),
        ),
        (
            Refused(net({"type": "b", "from": ["x", "x"], "repeat": 3, "carry": ["rest", "total"]},
                        blocks={"b": TWO_STATES}), "unknown-name"),
        ),
    ),
    Rule(
        '`"repeat": 20, "chain": false`',
        (
            Shown(
                net({**DENSE, "name": "d", "from": "field_${index + 1}", "repeat": 2, "chain": False},
                    {"type": "Concatenate"}, {**DENSE, "name": "head", "repeat": 2, "chain": False},
                    inputs={"field_1": tensor(3), "field_2": tensor(5)}, outputs="head"),
                {"concatenate": (8,), "head_2": (4,)},
            ),
            Shown(net({**DENSE, "name": "d", "repeat": 3, "chain": False}, {"type": "Add", "from": ["x", "d"]})),
        ),
        (
            Refused(net({**DENSE, "from": "field_${index + 1}", "repeat": 2},
                        inputs={"field_1": tensor(3), "field_2": tensor(5)}), "invalid-expression"),
            Refused(net({**DENSE, "repeat": 2, "chain": False}, DENSE), "wrong-inputs"),
        ),
    ),
    Rule(
        'An input may have `"repeat": 20`',
        (
            Shown(
                net({"type": "Concatenate", "from": "field"}, DENSE, inputs={"field": {"shape": [2], "repeat": 20}},
                    training={"loss": "mse", "data": {"train": "a.csv", "x": {"field": "C${index + 1}"}}}),
                {"field_20": (2,), "concatenate": (40,)},
            ),
        ),
    ),
    Rule(
        '`"scales"',
        (Shown(net({**DENSE, "units": "${width}"}, parameters={"width": 4}, scales={"large": {"width": 64}})),),
        (Refused(net({**DENSE, "units": "${w}"}, parameters={"w": 4}, scales={"large": {"v": 64}}), "unknown-name"),),
    ),
)  # fmt: skip

TRAINING_RULES = (
    Rule(
        "`data`: `train`",
        (Shown(trained(DENSE, data={"train": ["a-*.csv", "b.parquet"], "validation": "c.npz", "test": "d.jsonl"})),
         Shown(trained(DENSE, data={"train": {"x": "x.npy", "y": "y.npy"}}))),
        (Refused(trained(DENSE, data={"train": "../a.csv"}), "unsafe-path"),),
    ),
    Rule(
        "`data`: `x`, `y`",
        (
            Shown(trained(DENSE, data={"train": "a.csv", "x": "*", "y": ["p", "q", "r", "s"], "validation_split": 0.1,
                                       "sample_weight": "w"})),
            Shown(trained({"type": "Flatten"}, DENSE, inputs=IMAGE, data={"train": "a.npz", "x": {"image": "pixels"}})),
            Shown(trained({"type": "SequenceMask"}, {"type": "LSTM", "units": 1}, inputs={"x": tensor("time", 2)},
                          data={"train": "a.jsonl", "x": "tokens", "sequences": {}})),
        ),
        (Refused(trained(DENSE, data={"train": "a.csv", "x": {"y": "a"}}), "unknown-name"),),
    ),
    Rule(
        "`loss`, `metrics`",
        (
            Shown(
                net(
                    {**SOFTMAX, "name": "digit", "from": "a"},
                    {"type": "Dense", "name": "price", "units": 1, "from": "b"},
                    inputs=TWO_INPUTS,
                    outputs=["digit", "price"],
                    training={"loss": {"digit": "sparse_categorical_crossentropy", "price": "mse"},
                              "metrics": {"price": ["mae"]}, "loss_weights": {"price": 0.5},
                              "class_weight": {"digit": "balanced"}},
                )
            ),
            Shown(trained(SOFTMAX, loss="sparse_categorical_crossentropy", class_weight={"0": 1, "1": 5})),
        ),
        (Refused(trained(DENSE, metrics={"dens": ["mae"]}), "unknown-name"),),
    ),
    Rule(
        "mean_io_u and io_u",
        (
            Shown(trained({**SOFTMAX}, inputs=IMAGE, loss="sparse_categorical_crossentropy",
                          metrics=[{"type": "mean_io_u", "num_classes": 3, "sparse_y_pred": False}])),
        ),
        (
            Refused(trained({**SOFTMAX}, inputs=IMAGE, loss="sparse_categorical_crossentropy",
                            metrics=[{"type": "mean_io_u", "num_classes": 3}]), "metric-mismatch"),
        ),
    ),
    Rule(
        "`optimizer`; `epochs`",
        (
            Shown(trained(SIGMOID, loss="binary_crossentropy", optimizer="adam", epochs=3, batch_size=8, shuffle=False,
                          seed=1, early_stopping={"monitor": "val_loss", "patience": 5}, restore_best_weights=True,
                          reduce_on_plateau={"patience": 3, "factor": 0.1}, precision="float32", remat="full",
                          data={"train": "a.npz", "validation": "b.npz"})),
            Shown(trained({**SIGMOID, "units": 1}, loss="binary_crossentropy",
                          threshold={"maximize": "f1"}, data={"train": "a.npz", "validation_split": 0.2})),
            Shown(trained(SOFTMAX, loss="sparse_categorical_crossentropy", calibration="temperature",
                          data={"train": "a.npz", "validation_split": 0.2})),
        ),
        (Refused(trained(DENSE, optimizer="adm"), "unknown-type"),),
    ),
    Rule(
        "`target` `",
        (
            Shown(trained({**DENSE, "name": "body_1"}, DENSE, target={"normalize": True}, freeze=["body_*"],
                          weights={"file": "body.safetensors", "layers": ["body_*"]})),
            Shown(trained({**DENSE, "name": "body_1"}, DENSE, learning_rates={"body_*": 0.1})),
            Shown(trained(DENSE, {**DENSE, "name": "head"}, freeze=["*", "!head"])),
            Shown(trained(DENSE, target={"transform": "yeo_johnson", "normalize": True})),
        ),
        (Refused(trained(DENSE, freeze=["body_*"]), "unknown-name"),
         Refused(trained(DENSE, target={"transform": "log10"}), "invalid-value")),
    ),
    Rule(
        "`data.windows`",
        (
            Shown(trained({"type": "Flatten"}, {"type": "Dense", "units": 7}, inputs={"sales": tensor(28)},
                          data={"train": "sales.csv", "x": "sales", "y": "sales", "windows": {
                              "length": 28, "horizon": 7, "by": "store", "time": "date", "gaps": "skip"}})),
        ),
        (Refused(trained({"type": "Flatten"}, DENSE, inputs={"sales": tensor(28)},
                         data={"train": "sales.csv", "windows": {"length": 28, "gaps": "drop"}}), "invalid-value"),),
    ),
    Rule(
        "Intervals",
        (
            Shown(trained({"type": "Dense", "units": 3}, loss={"type": "quantile", "quantiles": [0.1, 0.5, 0.9]})),
            Shown(trained(DENSE, optimizer={"type": "adam", "learning_rate": {
                "type": "CosineDecay", "initial_learning_rate": 0.1, "decay_steps": "all"}})),
        ),
        (Refused(trained(DENSE, loss={"type": "quantile", "quantiles": [0.1, 0.5, 0.9]}), "loss-mismatch"),),
    ),
    Rule(
        '`"distributed"',
        (
            Shown(trained(DENSE, distributed={"shards": 8})),
            Shown(trained(DENSE, {"type": "BatchNormalization"}, DENSE,
                          distributed={"shards": 8, "batch_norm": "local"})),
        ),
        (Refused(trained(DENSE, {"type": "BatchNormalization"}, distributed={"shards": 8}), "samples-interact"),),
    ),
    Rule(
        '`"quantization"',
        (
            Shown(trained(DENSE, quantize="phone") | {"quantization": {"phone": {"precision": "int8"}}}),
            Shown(net(DENSE, quantization={"phone": {"precision": "int8"}})),
        ),
        (
            Refused(trained(DENSE, quantization={"phone": {"precision": "int8"}}), "unknown-key"),
            Refused(trained(DENSE, quantize="phone"), "unknown-name"),
        ),
    ),
    Rule(
        '`"distill"',
        (Shown(trained(DENSE, distill={"teacher": "runs/large"})),),
        (Refused(trained(DENSE, distill="runs/large"), "wrong-type"),),
    ),
    Rule(
        '`"auxiliary_outputs"',
        (
            Shown(trained({**DENSE, "name": "body"}, {**DENSE, "name": "side"}, {**DENSE, "from": "body"},
                          auxiliary_outputs=["side"], loss_weights={"side": 0.3})),
        ),
        (Refused(trained(DENSE, auxiliary_outputs=["side"]), "unknown-name"),),
    ),
    Rule(
        "A loss computed by layers",
        (
            Shown(net(DENSE, {"type": "ops.square"}, {"type": "AddLoss"}, outputs="dense",
                      training={"optimizer": "adam"})),
        ),
        (Refused(net(DENSE, training={"optimizer": "adam"}), "missing-key"),),
    ),
)  # fmt: skip
