"""EinsumDense."""

from . import Case


def dense(equation: str, output_shape: object, **arguments: object) -> dict:
    return {"type": "EinsumDense", "equation": equation, "output_shape": output_shape, **arguments}


CASES = [
    Case("einsum", dense("ab,bc->ac", 3, bias_axes="c"), [(4,)]),
    Case("einsum-sequence", dense("abc,cd->abd", [None, 3], activation="tanh"), [(2, 4)]),
    Case("einsum-heads", dense("abc,cde->abde", [None, 2, 3], bias_axes="de"), [(2, 4)]),
    Case("einsum-join", dense("abde,dec->abc", [None, 4], bias_axes="c"), [(2, 2, 3)]),
    Case("einsum-left", dense("...x,xy->...y", 3, bias_axes="y"), [(2, 2, 4)]),
    Case("einsum-left-smallest", dense("...x,xy->...y", 1), [(1,)]),
    Case("einsum-right", dense("ab...,bc->ac...", 3, bias_axes="c"), [(4, 2, 3)]),
    Case("einsum-right-none", dense("ab...,bc->ac...", 3), [(4,)]),
    Case("einsum-transposed", dense("abc,cd->adb", [3, None], bias_axes="d"), [(2, 4)]),
    Case("einsum-by-axis", dense("abc,bcd->abd", [2, 3], bias_axes="bd"), [(2, 4)]),
    Case("einsum-elementwise", dense("abc,bc->abc", [2, 4], bias_axes="b"), [(2, 4)]),
    Case("einsum-kernel-order", dense("abc,dc->abd", [None, 3]), [(2, 4)]),
    Case("einsum-summed", dense("abc,cd->ad", [3]), [(2, 4)]),
    Case("einsum-diagonal", dense("abb,bd->ad", [3]), [(4, 4)]),
]
