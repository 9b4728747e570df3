"""Imports folders of Hugging Face models: `config.json` and safetensors files, without transformers.

`folder` opens the files, `config` reads and checks keys, `checkpoint` reads tensors. A module of `families` makes a
`Translation` of a configuration: a spec, and for each weight of its network the tensors that it is made of.
`read_folder` has the table of architectures, and connects all. To add an architecture, write a function

    def translate_NAME(config: Config, tensors: Mapping[str, Shape]) -> Translation

in `families`, and enter it in `read_folder.ARCHITECTURES` by its `model_type`. `tensors` are the shapes of the stored
tensors by name. `Config` refuses every key that the function has not read and that is not in `NEUTRAL_KEYS`.
"""
