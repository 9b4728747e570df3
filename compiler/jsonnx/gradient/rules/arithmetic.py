"""Element-wise operators. Broadcasting is undone by the engine."""

from __future__ import annotations

from ..table import NOT_DIFFERENTIABLE, Builder, Node, Value, vjp

NOT_DIFFERENTIABLE.update(
    ("Shape", "Size", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Not", "And", "Or", "Xor", "IsNaN")
)
NOT_DIFFERENTIABLE.update(("Sign", "Floor", "Ceil", "Round", "ArgMax", "ArgMin", "ConstantOfShape", "Range", "OneHot"))


@vjp("Identity")
def identity(g: Builder, node: Node, dy: Value):
    return dy


@vjp("Add", "Sum")
def add(g: Builder, node: Node, dy: Value):
    return [dy] * len(node.inputs)


@vjp("Sub")
def sub(g: Builder, node: Node, dy: Value):
    return dy, g.Neg(dy)


@vjp("Mul")
def mul(g: Builder, node: Node, dy: Value):
    a, b = node.inputs
    return g.Mul(dy, b), g.Mul(dy, a)


@vjp("Div")
def div(g: Builder, node: Node, dy: Value):
    """y = a / b, so da = dy / b and db = -da * y."""
    _, b = node.inputs
    da = g.Div(dy, b)
    return da, g.Neg(g.Mul(da, node.outputs[0]))


@vjp("Neg")
def neg(g: Builder, node: Node, dy: Value):
    return g.Neg(dy)


@vjp("Exp")
def exp(g: Builder, node: Node, dy: Value):
    return g.Mul(dy, node.outputs[0])


@vjp("Log")
def log(g: Builder, node: Node, dy: Value):
    return g.Div(dy, node.inputs[0])


@vjp("Relu")
def relu(g: Builder, node: Node, dy: Value):
    """dx = dy where x > 0. HardSigmoid with a huge slope is that step function, and onnxruntime's fastest: 0.8 ms for
    2.8 million elements where Where takes 12. Read off y, which the next operator needs anyway, not off x."""
    return g.Mul(dy, step(g, node.outputs[0]))


def step(g: Builder, x: Value) -> Value:
    """1 where x > 0, else 0."""
    return g.HardSigmoid(x, alpha=1e38, beta=0.0)


@vjp("Sigmoid")
def sigmoid(g: Builder, node: Node, dy: Value):
    y = node.outputs[0]
    return g.Mul(dy, g.Mul(y, g.Sub(1.0, y)))


@vjp("Tanh")
def tanh(g: Builder, node: Node, dy: Value):
    y = node.outputs[0]
    return g.Mul(dy, g.Sub(1.0, g.Mul(y, y)))
