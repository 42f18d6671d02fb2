"""Watches a network compute, and refuses what is not the same on every machine.

Whatever sums must sum numbers of one power-of-two grid each, and stay below 2**53; nothing else may
depend on a library: no exponential but from a table, no mean, no quotient by a Python number but a
power of two.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten
LIMIT = 2.0**53
FINEST = 200  # bits after the point at which a number counts as none of a grid's


def products(left: Tensor, right: Tensor) -> float:
    """The largest sum of a matrix product's terms, each without its sign, in units."""
    return largest(left.abs() @ right.abs()) / (unit_of(left) * unit_of(right))


def products_and_bias(bias: Tensor, left: Tensor, right: Tensor) -> float:
    unit = min(unit_of(bias), unit_of(left) * unit_of(right))
    return largest(left.abs() @ right.abs() + bias.abs()) / unit


def convolved(x: Tensor, weight: Tensor, bias: Tensor | None, *rest: Any) -> float:
    unit = unit_of(x) * unit_of(weight)
    total = aten.convolution(x.abs(), weight.abs(), None, *rest)
    if bias is not None:
        unit, total = min(unit, unit_of(bias)), total + bias.abs()[:, None, None]
    return largest(total) / unit


def multiplied_and_added(x: Tensor, left: Tensor, right: Tensor) -> float:
    unit = min(unit_of(x), unit_of(left) * unit_of(right))
    return largest(x.abs() + (left * right).abs()) / unit


def summed(x: Tensor, axes: Any = None, *_: Any) -> float:
    return largest(x.abs().sum(axes)) / unit_of(x)


# What a summing operation can reach, given its operands.
SUMS: dict[Any, Callable[..., float]] = {
    aten.mm.default: products,
    aten.bmm.default: products,
    aten.addmm.default: products_and_bias,
    aten.baddbmm.default: products_and_bias,
    aten.addmm_.default: products_and_bias,
    aten.addcmul.default: multiplied_and_added,
    aten.addcmul.out: multiplied_and_added,
    aten.addcmul_.default: multiplied_and_added,
    aten.convolution.default: convolved,
    aten.sum.dim_IntList: summed,
    aten.sum.default: summed,
}
# Elementwise operations of which IEEE 754 fixes every bit, or that only move numbers.
NAMES = """
    _local_scalar_dense _reshape_alias _to_copy _unsafe_view abs add add_ alias amax aminmax any
    arange as_strided bitwise_and bitwise_not bitwise_or cat clamp clamp_ clamp_max clamp_min clone
    constant_pad_nd contiguous copy_ detach empty empty_like eq expand eye fill_ flip floor floor_
    full full_like gather ge gt im2col index index_put_ index_select leaky_relu leaky_relu_ lift
    lift_fresh logical_and logical_not logical_or lt masked_fill max mul mul_ ne neg new_empty
    new_full new_zeros one_hot ones ones_like permute pixel_shuffle relu remainder repeat roll rsub
    scalar_tensor scatter scatter_ select slice split split_with_sizes sqrt squeeze
    stack sub t take to transpose unbind unsqueeze view where zero_ zeros zeros_like
"""
HARMLESS = frozenset(NAMES.split())


class ExactOperations(TorchDispatchMode):
    """Raises AssertionError at the first operation that could differ."""

    def __init__(self) -> None:
        super().__init__()
        self.sums = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, given: tuple[Any, ...] = (), named: Any = None
    ) -> Any:
        name = function.overloadpacket.__name__
        if function in SUMS and given[0].is_floating_point():
            # Before it is done: some sums replace what they add to.
            reached = SUMS[function](*given)
            assert reached < LIMIT, f"{function} can lose bits: {reached:.3g} units"
            self.sums += 1
        adds = name == "index_put_" and (*given, False)[3]
        assert not adds, "a sum whose order is a device's own"
        result = function(*given, **(named or {}))
        if function in SUMS:
            return result
        if name in ("div", "div_") and result.is_floating_point():
            denominator = given[1]
            tensors = isinstance(denominator, Tensor) and denominator.dim() > 0
            assert tensors or is_power_of_two(denominator), "a quotient by a Python number"
        else:
            assert name in HARMLESS or name in ("div", "div_"), f"{name} is not known to be exact"
        return result


def is_power_of_two(number: Any) -> bool:
    """Then a library may multiply by its inverse as well."""
    return math.frexp(abs(float(number)))[0] == 0.5


def largest(x: Tensor) -> float:
    return float(x.max())


def unit_of(x: Tensor) -> float:
    """The largest power of two of which all of x are multiples; AssertionError if too fine."""
    assert x.dtype == torch.float64, f"a sum in {x.dtype}"
    x = x[x != 0]
    if not x.numel():
        return 1.0
    mantissas, exponents = torch.frexp(x)
    whole = (mantissas.abs() * LIMIT).long()
    # whole & -whole is its lowest set bit.
    lowest = torch.log2((whole & -whole).double()) + exponents - 53
    bits = int(lowest.min())
    assert bits > -FINEST
    return 2.0**bits
