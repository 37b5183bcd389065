"""Vector functions as loops over arrays, for tests, and how far results are off."""

import ctypes

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir

from graphax.kernels.cpu import _vector_math

llvm.initialize_all_targets()
llvm.initialize_all_asmprinters()

DTYPES = {"f4": np.float32, "f8": np.float64}
BINARY = {"pow", "atan2", "rem"}
_NUMPY = {
    "asin": "arcsin",
    "acos": "arccos",
    "atan": "arctan",
    "atan2": "arctan2",
    "asinh": "arcsinh",
    "acosh": "arccosh",
    "atanh": "arctanh",
    "pow": "power",
    "rem": "fmod",
}
#: A loop over numbers of 80 bits, for what NumPy does not have.
_LONG_LOOP = """
declare x86_fp80 @NAMEl(x86_fp80)
define void @loop(i64 %size, ptr %from, ptr %to) {
start:
  br label %body
body:
  %i = phi i64 [0, %start], [%next, %body]
  %source = getelementptr x86_fp80, ptr %from, i64 %i
  %x = load x86_fp80, ptr %source
  %y = call x86_fp80 @NAMEl(x86_fp80 %x)
  %target = getelementptr x86_fp80, ptr %to, i64 %i
  store x86_fp80 %y, ptr %target
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %size
  br i1 %more, label %body, label %end
end:
  ret void
}
"""


def machine(cpu=None, features=None, triple=None):
    """A target; the one that tests run on, unless told otherwise."""
    target = llvm.Target.from_triple(triple or llvm.get_default_triple())
    if cpu is None:
        cpu, features = llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
    return target.create_target_machine(cpu=cpu, features=features or "", opt=2)


def loops(names, kind, width):
    """A module with a loop over arrays for every function: (size, operands, results)."""
    module = ir.Module()
    scalar = ir.FloatType() if kind == "f4" else ir.DoubleType()
    size_type = ir.IntType(64)
    for name in names:
        function = _vector_math.define(module, name, kind, width)
        operands, results = len(function.args), 2 if name == "sincos" else 1
        pointers = [scalar.as_pointer()] * (operands + results)
        loop = ir.Function(module, ir.FunctionType(ir.VoidType(), [size_type, *pointers]), f"loop_{name}")
        start, body, end = (loop.append_basic_block(label) for label in ("start", "body", "end"))
        builder = ir.IRBuilder(start)
        builder.branch(body)
        builder.position_at_end(body)
        index = builder.phi(size_type)
        vectors = [
            builder.bitcast(builder.gep(pointer, [index]), function.args[0].type.as_pointer())
            for pointer in loop.args[1:]
        ]
        align = 4 if kind == "f4" else 8
        value = builder.call(function, [builder.load(vector, align=align) for vector in vectors[:operands]])
        for number, vector in enumerate(vectors[operands:]):
            part = builder.extract_value(value, number) if results > 1 else value
            builder.store(part, vector, align=align)
        following = builder.add(index, size_type(width))
        index.add_incoming(size_type(0), start)
        index.add_incoming(following, body)
        builder.cbranch(builder.icmp_signed("<", following, loop.args[0]), body, end)
        builder.position_at_end(end)
        builder.ret_void()
    return module


def optimized(module, target):
    """The module as LLVM has it after its passes."""
    parsed = llvm.parse_assembly(str(module))
    parsed.verify()
    builder = llvm.create_pass_builder(target, llvm.create_pipeline_tuning_options(speed_level=2))
    builder.getModulePassManager().run(parsed, builder)
    return parsed


class Compiled:
    """Functions of vectors that can be called with arrays."""

    def __init__(self, names, kind, width, target=None):
        target = target or machine()
        self._engine = llvm.create_mcjit_compiler(optimized(loops(names, kind, width), target), target)
        self._engine.finalize_object()
        self.dtype, self.width = DTYPES[kind], width

    def __call__(self, name, *operands):
        """The results of a function, an array or two."""
        size = len(operands[0])
        padding = np.ones(-size % self.width, self.dtype)
        arrays = [np.concatenate([np.asarray(x, self.dtype), padding]) for x in operands]
        results = [np.empty_like(arrays[0]) for _ in range(2 if name == "sincos" else 1)]
        pointers = [x.ctypes.data for x in arrays + results]
        address = self._engine.get_function_address(f"loop_{name}")
        ctypes.CFUNCTYPE(None, ctypes.c_int64, *[ctypes.c_void_p] * len(pointers))(address)(
            len(arrays[0]), *pointers
        )
        return results[0][:size] if len(results) == 1 else tuple(result[:size] for result in results)


class Reference:
    """Functions in a precision with at least ten bits more than a kind has."""

    def __init__(self, kind):
        self.dtype = np.float64 if kind == "f4" else np.longdouble
        self._loops = {}

    def __call__(self, name, *operands):
        with np.errstate(all="ignore"):
            wide = [np.ascontiguousarray(x, self.dtype) for x in operands]
            if name in ("erf", "erfc"):
                return self._long(name, np.asarray(wide[0], np.longdouble))
            return getattr(np, _NUMPY.get(name, name))(*wide)

    def _long(self, name, x):
        if name not in self._loops:
            target = machine()
            engine = llvm.create_mcjit_compiler(llvm.parse_assembly(_LONG_LOOP.replace("NAME", name)), target)
            engine.finalize_object()
            types = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)
            self._loops[name] = engine, types(engine.get_function_address("loop"))
        result = np.empty_like(x)
        self._loops[name][1](len(x), x.ctypes.data, result.ctypes.data)
        return result


def units_off(got, want):
    """How many units in the last place results are off; infinitely many for a wrong NaN or sign of zero.

    Args:
        got: the results.
        want: what is right, in a wider format.
    """
    info = np.finfo(got.dtype)
    # Infinity counts as the number that would come after the largest.
    end = np.ldexp(want.dtype.type(1), int(info.maxexp))
    with np.errstate(all="ignore"):
        right = np.clip(want, -end, end)
        near = np.clip(got.astype(want.dtype), -end, end)
        exponent = np.frexp(np.clip(abs(right), info.smallest_normal, info.max))[1] - 1
        off = np.ldexp(abs(near - right), info.nmant - np.where(np.isnan(want), 0, exponent))
    wrong = (np.isnan(got) != np.isnan(want)) | (
        (want == 0) & (got == 0) & (np.signbit(got) != np.signbit(want))
    )
    return np.where(wrong, np.inf, np.where(np.isnan(want), 0, off)).astype(np.float64)
