"""Codes of gates in continuous integration: budgets, comparisons with a revision, floors of figures."""

from __future__ import annotations

from .explanation import Explanation

GATE_EXPLANATIONS: dict[str, Explanation] = {
    "over-budget": Explanation(
        "The network or its model costs more than its budget",
        "The section `budget` of the spec, or an option such as `--max-parameters`, limits parameters, multiply-adds, "
        "the memory of the layers' values, the bytes of the model and its opset. The notes name the layers with the "
        "largest shares. Make these smaller, or raise the limit where the cost is meant.",
        '{"layers": [{"type": "Dense", "units": 4096}], "budget": {"parameters": "100k"}}   # of 784 inputs',
        '{"layers": [{"type": "Dense", "units": 100}], "budget": {"parameters": "100k"}}',
    ),
    "unknown-cost": Explanation(
        "A limit of the budget depends on sizes that vary",
        "An input with a symbolic size, such as the length of a text, has no fixed cost. The budget gives the sizes "
        "for which its limits are meant.",
        '{"inputs": {"text": {"shape": ["length", 8]}}, "budget": {"multiply_adds": "1M"}}',
        '{"inputs": {"text": {"shape": ["length", 8]}}, "budget": {"multiply_adds": "1M", "sizes": {"length": 128}}}',
    ),
    "missing-kernel": Explanation(
        "An execution provider has no kernel for an operator of the model",
        "The budget names the provider among its `targets`, or `--target` does. onnxruntime would run the operator on "
        "the CPU, and copy its inputs and outputs between the devices. `jsonnx providers SPEC --provider NAME` lists "
        "all such operators. Use another layer, or remove the target from the budget.",
        '{"layers": [{"type": "LSTM", "units": 8}], "budget": {"targets": ["webgpu"]}}',
        '{"layers": [{"type": "Conv1D", "filters": 8, "kernel_size": 3}], "budget": {"targets": ["webgpu"]}}',
    ),
    "bad-revision": Explanation(
        "The text does not name a Git revision, or a file at one",
        "A revision is written as git: and a branch, a tag, a commit or another name that `git rev-parse` knows; a "
        "file there as git:REF:PATH. PATH begins at the root of the repository, or with ./ in the current folder. A "
        "name that begins with a hyphen is refused, since programs may take it for an option.",
        "jsonnx diff spec.json --against git:",
        "jsonnx diff spec.json --against git:main",
    ),
    "unknown-revision": Explanation(
        "The repository does not have the revision",
        "The branch, tag or commit is not in this clone. Clones for continuous integration often have one commit only: "
        "fetch the other one first, or make a full clone (`fetch-depth: 0` of actions/checkout, `GIT_DEPTH: 0` of "
        "GitLab). A branch that only exists on the server is called origin/NAME.",
        "jsonnx diff spec.json --against git:main            # in a clone of one commit",
        "git fetch --depth=1 origin main\njsonnx diff spec.json --against git:FETCH_HEAD",
    ),
    "no-repository": Explanation(
        "The spec does not lie in a Git repository",
        "`--against git:REF` reads the version of each spec from the repository that the spec lies in. Run the command "
        "in a clone, or compare two files.",
        "jsonnx diff spec.json --against git:main            # in an unpacked archive",
        "jsonnx diff old.json spec.json",
    ),
    "outside-repository": Explanation(
        "A file does not lie in the work tree of the repository",
        "The path of a spec within its repository tells where its older version is. A path that leads out of the "
        "repository, and a file beside a repository without a work tree, have none. Name the file at the revision.",
        "jsonnx diff ../elsewhere/spec.json --against git:main:./../../spec.json",
        "jsonnx diff ../elsewhere/spec.json --against git:main:specs/spec.json",
    ),
    "git-failed": Explanation(
        "Git cannot be run, or refuses",
        "jsonnx runs the program `git` to read files at a revision, and reports what it says. In a container, the "
        "folder often belongs to another user than the one who runs the command; Git then wants to be told that the "
        "folder is safe.",
        "jsonnx diff spec.json --against git:main            # in a folder of another user",
        "git config --global --add safe.directory /repository",
    ),
    "required-figure": Explanation(
        "A figure of an evaluation does not keep the required bound",
        "`jsonnx evaluate --require` names a bound on a loss or a metric, which must hold for every evaluated run or "
        "model, and for every number of a figure that is a list. NaN keeps no bound.",
        "jsonnx evaluate runs/digits --require 'accuracy>=0.97'   # the accuracy is 0.95",
        "jsonnx evaluate runs/digits --require 'accuracy>=0.95'",
    ),
}
