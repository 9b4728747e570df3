#!/bin/sh
# Builds the wheel and tests it outside the checkout: without onnxruntime specs are checked, with it samples are trained.
set -eu
cd "$(dirname "$0")/../../.."
ROOT=$PWD
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT

.venv/bin/python -m build --quiet --wheel --outdir "$WORK/dist" .
cp -r samples "$WORK/samples"
cd "$WORK"
WHEEL=$(ls dist/*.whl)

"${PYTHON:-python3}" -m venv bare
bare/bin/python -m pip install --quiet --disable-pip-version-check "$WHEEL"
if bare/bin/python -c "import onnxruntime" 2>/dev/null; then
    echo "the installation without extras has onnxruntime" >&2
    exit 1
fi
bare/bin/jsonnx validate samples/*.json
bare/bin/jsonnx summary samples/mnist_cnn.json
bare/bin/jsonnx compile samples/mnist_mlp.json -o bare.onnx
status=0
bare/bin/jsonnx train samples/diabetes.json 2>message || status=$?
cat message
[ "$status" = 2 ] && grep -q 'jsonnx\[cpu\]' message

bare/bin/python -m pip install --quiet --disable-pip-version-check "$WHEEL[cpu]"
for sample in diabetes digits_residual; do
    bare/bin/jsonnx train "samples/$sample.json" -o "runs/$sample" --set training.epochs=2 2>/dev/null
    bare/bin/jsonnx evaluate "runs/$sample"
done
bare/bin/jsonnx predict runs/diabetes --data samples/data/diabetes_test.csv | head -3
bare/bin/python samples/classify.py runs/digits_residual/model.onnx samples/data/digits_test.npz
echo "the wheel works"
