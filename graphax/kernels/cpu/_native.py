"""Programs of scalars as machine code that XLA calls: compiled once per content, named by it."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import sys
import threading
from collections.abc import Callable
from typing import Any

import jax

from .._program import ScalarProgram
from ._ffi_layout import layout
from ._instructions import function_name
from ._llvm import Loop, Target, loop
from ._transfer import COPY, copy_function

#: Part of every name: to be raised whenever the same program gives other machine code.
_EMITTER = "3"
_PREFIX = "graphax_kernel_"
#: Better code for one row of so many operations, each of which is carried out once, would take thousands of
#: times longer than it would save.
_LONG = 250
_lock = threading.RLock()
_registered: set[str] = set()


@functools.cache
def available() -> str | None:
    """Why kernels cannot be compiled for this machine's CPU; None if they can."""
    if sys.byteorder != "little" or ctypes.sizeof(ctypes.c_void_p) != 8:
        return "kernels need a CPU with addresses of 64 bits, the least byte first"
    try:
        major, _ = layout().version
        if major != 0:
            return f"version {major} of XLA's foreign function interface is not known"
        host()
        _handler_address()
    except (KeyError, IndexError, ValueError, OSError) as error:
        return f"XLA's headers do not declare what kernels need: {error}"
    except (ImportError, RuntimeError) as error:
        return f"llvmlite does not work here: {error}"
    return None


@functools.cache
def host() -> Target:
    """The machine that this process runs on."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return Target(llvm.get_process_triple(), llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten())


def target(program: ScalarProgram, batched: tuple[bool, ...], *, single: bool = False) -> str:
    """Compile a program and register it with XLA.

    Args:
        program: the program; it has a result.
        batched: which of its operands have an axis of the batch before their own; the others are taken
            whole by every row. Every result has one.
        single: whether it is compiled for batches of one row; it is right for any.

    Returns:
        the name of the target for ``jax.ffi.ffi_call``: a hash of all that the machine code depends on,
        equal in every process.

    Raises:
        RuntimeError: :func:`available` says why not.
    """
    reason = available()
    if reason is not None:
        raise RuntimeError(reason)
    if not program.results:
        raise ValueError("a kernel needs a result")
    content = (_EMITTER, program.identity, tuple(batched), single, host(), layout().version)
    name = _PREFIX + hashlib.sha256(repr(content).encode()).hexdigest()[:40]
    with _lock:
        if name not in _registered:
            _compile(program, tuple(batched), single, name)
            _registered.add(name)
    return name


def _compile(program: ScalarProgram, batched: tuple[bool, ...], single: bool, name: str) -> None:
    """Compile a kernel and register it."""
    from ._handler import HANDLER

    rows = loop(program, batched, host(), single)
    parts = {HANDLER: _handler_address(), COPY: _part("copy", COPY)}
    for function in rows.functions:
        parts[function_name(*function)] = _part("function", function_name(*function), *function)
    for transfer in rows.transfers:
        parts[transfer.name] = _part("transfer", transfer.name, transfer)
    once = single and not program.bodies and program.operations >= _LONG
    address = _link(name, _kernel_text(program, batched, rows, name), parts, 0 if once else 2)
    jax.ffi.register_ffi_target(name, jax.ffi.pycapsule(ctypes.c_void_p(address)), platform="cpu")
    # XLA would cut what all rows share into pieces, too.
    if all(batched) and hasattr(jax.ffi, "register_ffi_target_as_batch_partitionable"):
        jax.ffi.register_ffi_target_as_batch_partitionable(name)


def _handler_address() -> int:
    """Where the handler for all kernels is."""
    from ._handler import HANDLER

    with _lock:
        return _part("handler", HANDLER)


@functools.cache
def _part(subject: str, name: str, *key: Any) -> int:
    """The address of a function that kernels share, compiled when the first one needs it."""
    # The handler does little, and most of that in calls; better code would take longer than it would save.
    return _link(name, _TEXTS[subject](host(), *key), {}, 0 if subject == "handler" else 2)


def _link(name: str, text: str, imports: dict[str, int], level: int = 2) -> int:
    """LLVM IR with a function of a name as machine code in the process's memory, until its very end.

    Returns:
        the function's address.
    """
    import llvmlite.binding as llvm

    module = llvm.parse_assembly(text, llvm.create_context())
    code = _machine(host(), level).emit_object(module)
    module.close()
    library = llvm.JITLibraryBuilder().add_object_img(code).add_current_process().export_symbol(name)
    for other, address in imports.items():
        library.import_symbol(other, address)
    code = library.link(_linker(), name)
    # A thread of XLA's may be in it when Python ends.
    code.detach()
    return code[name]


@functools.cache
def _linker() -> Any:
    """What puts machine code into the process's memory."""
    import llvmlite.binding as llvm

    # The older linker places parts of an object one by one, be they too far apart for their references.
    linker = llvm.create_lljit_compiler(_machine(host()), use_jit_link=True)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(linker))  # it outlives Python, and so does the code
    return linker


@functools.cache
def _machine(target: Target, level: int = 2) -> Any:
    """LLVM's code generator for a machine."""
    import llvmlite.binding as llvm

    found = llvm.Target.from_triple(target.triple)
    return found.create_target_machine(target.cpu, target.features, level, reloc="pic", codemodel="small")


def _kernel_text(program: ScalarProgram, batched: tuple[bool, ...], rows: Loop, name: str) -> str:
    """LLVM IR of a kernel."""
    from ._handler import stub

    return "\n".join([*rows.declarations.values(), rows.text, stub(program, batched, rows, name)])


def _handler_text(target: Target) -> str:
    from . import _handler

    return str(_handler.module(target.triple))


def _function_text(target: Target, op: str, kind: Any, width: int) -> str:
    """LLVM IR of a function of real numbers."""
    import llvmlite.ir as ir

    from . import _vector_math

    module = ir.Module()
    _vector_math.define(module, op, kind, width).linkage = ""
    return str(module)


_TEXTS: dict[str, Callable[..., str]] = {
    "handler": _handler_text,
    "copy": lambda target: copy_function(target.vector_bytes),
    "function": _function_text,
    "transfer": lambda target, transfer: transfer.text(target.vector_bytes),
}


def assembly(
    program: ScalarProgram,
    batched: tuple[bool, ...],
    cpu: str | None = None,
    features: str | None = None,
    triple: str | None = None,
    single: bool = False,
) -> str:
    """The machine code of a program, to be read, for this machine or another.

    Args:
        program: the program.
        batched: which of its operands have rows.
        cpu: the processor, as LLVM names it.
        features: what it has, as ``"+avx2,-avx512f"``; all that this machine has unless a processor is named.
        triple: its kind, as ``"aarch64-linux-gnu"``.
        single: whether it is for batches of one row.
    """
    import llvmlite.binding as llvm

    here = host()
    if triple is not None:
        llvm.initialize_all_targets()
        llvm.initialize_all_asmprinters()
    other = cpu is not None or triple is not None
    machine = Target(
        triple or here.triple,
        cpu if cpu is not None else "" if triple else here.cpu,
        features if features is not None else "" if other else here.features,
    )
    rows = loop(program, batched, machine, single)
    texts = [_function_text(machine, *function) for function in sorted(rows.functions)]
    texts += [transfer.text(machine.vector_bytes) for transfer in sorted(rows.transfers)]
    context = llvm.create_context()
    module = llvm.parse_assembly(_kernel_text(program, batched, rows, "handler"), context)
    for text in texts:
        module.link_in(llvm.parse_assembly(text, context))
    return _machine(machine).emit_assembly(module)
