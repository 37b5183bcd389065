"""The function that XLA calls: it takes a kernel's arrays from a call frame and shares rows among threads.

It is the same for all kernels; each hands it a description of itself. The pool's threads only help. Rows are
claimed in chunks by a counter in a state on the heap; the calling thread claims chunks like the others and
then waits for those that others have begun, never for a task that may not have started. A task that starts
late finds nothing left and only releases the state.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import llvmlite.ir as ir

from .._program import ScalarProgram
from ._ffi_layout import layout
from ._instructions import SIZES
from ._llvm import Loop

#: The handler's name; it takes a call frame and a kernel's description.
HANDLER = "graphax_handle"

#: What a chunk of rows takes at least, in cycles: some microseconds.
_CHUNK_CYCLES = 20_000
#: How many chunks are worth a second thread, which takes about as long to wake.
_CHUNKS_TO_SHARE = 4
_CHUNKS_PER_THREAD = 8
#: Results of so many bytes would fall out of the cache before anyone reads them.
_STREAMED_BYTES = 4 << 20
#: Bytes of a result from which on its memory is asked to be of huge pages, and what Linux calls that.
_HUGE_BYTES, _MADV_HUGEPAGE = 4 << 20, 14
_PAGE = 4096
#: How often a thread looks whether others have finished before it gives way to them.
_PATIENCE = 200

_TRUTH, _BYTE, _INT, _LONG = (ir.IntType(bits) for bits in (1, 8, 32, 64))
_POINTER = ir.PointerType()
_ROWS = ir.FunctionType(ir.VoidType(), [_POINTER, _LONG, _LONG, _TRUTH]).as_pointer()
#: A kernel: its loop over rows, how many rows that takes at least, rows of a chunk, from how many rows on
#: results bypass the cache, how many of its arrays are operands, how many there are, and the bytes of a row
#: of each, none where all rows share it.
_KERNEL = {"rows": 0, "width": 1, "chunk": 2, "streamed": 3, "operands": 4, "arrays": 5, "bytes": 6}
#: What threads share: how many have hold of it, the next chunk, how many are done, how many there are, rows
#: of a chunk, rows in all, whether results bypass the cache, the kernel's loop, and the arrays' addresses.
_STATE = {
    name: place
    for place, name in enumerate("holders next done chunks share batch stream rows arrays".split())
}


def stub(program: ScalarProgram, batched: tuple[bool, ...], loop: Loop, name: str) -> str:
    """LLVM IR of a kernel's own handler: the one for all, with a description of the kernel.

    Args:
        program: the program.
        batched: which of its operands have rows.
        loop: its emitted loop.
        name: the handler's name.
    """
    chunk = max(1, round(_CHUNK_CYCLES / loop.cost / loop.width)) * loop.width
    sizes = [SIZES[x.kind] * x.size if rows else 0 for x, rows in zip(program.operands, batched, strict=True)]
    sizes += [SIZES[r.kind] * len(r.entries) for r in program.results]
    written = max(1, sum(sizes[len(program.operands) :]))
    streamed = -(-_STREAMED_BYTES // written)
    numbers = [loop.width, chunk, streamed, len(program.operands), len(sizes), *sizes]
    fields = ", ".join(["ptr @rows", *(f"i64 {number}" for number in numbers)])
    types = ", ".join(["ptr", *["i64"] * len(numbers)])
    return f"""
@kernel = private constant {{ {types} }} {{ {fields} }}
declare ptr @{HANDLER}(ptr, ptr)
define ptr @{name}(ptr %frame) nounwind {{
  %error = tail call ptr @{HANDLER}(ptr %frame, ptr @kernel)
  ret ptr %error
}}
"""


def module(triple: str) -> ir.Module:
    """The handler for all kernels.

    Args:
        triple: the machine, as LLVM names it.
    """
    return _Handler(triple).module


class _Handler:
    """The functions of the handler, written into a module."""

    def __init__(self, triple: str) -> None:
        self.layout = layout()
        self.module = ir.Module("handler")
        self.malloc = self._external("malloc", _POINTER, _LONG)
        self.free = self._external("free", ir.VoidType(), _POINTER)
        self.give_way = self._external("SwitchToThread" if "windows" in triple else "sched_yield", _INT)
        self.triple = triple
        self.fail, self.forget = self._failure(), self._forgetting()
        self.work = self._work()
        self.release = self._release()
        self.help = self._help()
        self.share = self._share()
        self.few = self._few_rows()
        self._handle()

    # ---- text

    def _external(self, name: str, result: Any, *parameters: Any) -> ir.Function:
        return ir.Function(self.module, ir.FunctionType(result, parameters), name)

    def _function(
        self, name: str, result: Any, *parameters: Any, internal: bool = True
    ) -> tuple[ir.IRBuilder, Sequence[Any]]:
        """A new function, and its parameters."""
        function = self._external(name, result, *parameters)
        function.attributes.add("nounwind")
        if internal:
            function.linkage = "internal"
        return ir.IRBuilder(function.append_basic_block("entry")), function.args

    def _at(self, b: ir.IRBuilder, pointer: Any, struct: str, *fields: str) -> Any:
        """The address of a field of one of XLA's structs."""
        return b.gep(pointer, [_LONG(self.layout.offset(struct, *fields))], source_etype=_BYTE)

    def _field(self, b: ir.IRBuilder, kind: Any, pointer: Any, struct: str, *fields: str) -> Any:
        return b.load(self._at(b, pointer, struct, *fields), typ=kind)

    def _arguments(self, b: ir.IRBuilder, struct: str, **fields: Any) -> Any:
        """A struct for a call of the interface."""
        words = ir.ArrayType(_LONG, -(-self.layout.structs[struct].size // 8))
        pointer = _alloca(b, words)
        b.store(ir.Constant(words, None), pointer)
        b.store(_LONG(self.layout.sizes[struct]), self._at(b, pointer, struct, "struct_size"))
        for name, value in fields.items():
            b.store(value, self._at(b, pointer, struct, name))
        return pointer

    def _call(self, b: ir.IRBuilder, frame: Any, function: str, arguments: Any) -> Any:
        """A call of the interface; what it returns is an error or nothing."""
        api = self._field(b, _POINTER, frame, "CallFrame", "api")
        returns = ir.VoidType() if function == "Error_Destroy" else _POINTER
        kind = ir.FunctionType(returns, [_POINTER]).as_pointer()
        return b.call(self._field(b, kind, api, "Api", function), [arguments])

    # ---- errors

    def _failure(self) -> ir.Function:
        """An error with a message and a code."""
        b, (frame, message, code) = self._function("fail", _POINTER, _POINTER, _POINTER, _INT)
        arguments = self._arguments(b, "Error_Create_Args", message=message, errc=code)
        b.ret(self._call(b, frame, "Error_Create", arguments))
        return b.function

    def _forgetting(self) -> ir.Function:
        """What went wrong does not matter."""
        b, (frame, error) = self._function("forget", ir.VoidType(), _POINTER, _POINTER)
        self._call(b, frame, "Error_Destroy", self._arguments(b, "Error_Destroy_Args", error=error))
        b.ret_void()
        return b.function

    def _fail(self, b: ir.IRBuilder, frame: Any, message: str, code: str) -> None:
        text = ir.Constant(ir.ArrayType(_BYTE, len(message) + 1), bytearray(message.encode() + b"\0"))
        constant: Any = ir.GlobalVariable(self.module, text.type, self.module.get_unique_name("message"))
        constant.initializer, constant.global_constant, constant.linkage = text, True, "private"
        number = _INT(self.layout.enums[f"Error_Code_{code}"])
        b.ret(b.call(self.fail, [frame, b.bitcast(constant, _POINTER), number]))

    # ---- the handler

    def _handle(self) -> None:
        b, (frame, kernel) = self._function(HANDLER, _POINTER, _POINTER, _POINTER, internal=False)
        extension = self._field(b, _POINTER, frame, "CallFrame", "extension_start")
        with b.if_then(b.icmp_unsigned("!=", extension, _POINTER(None))):
            kind = self._field(b, _INT, extension, "Metadata_Extension", "extension_base", "type")
            metadata_wanted = _INT(self.layout.enums["Extension_Metadata"])
            with b.if_then(b.icmp_unsigned("==", kind, metadata_wanted)):
                self._answer_metadata(b, extension)
        operands, arrays = _get(b, _KERNEL, kernel, "operands"), _get(b, _KERNEL, kernel, "arrays")
        self._check(b, frame, operands, b.sub(arrays, operands))
        given = self._field(b, _POINTER, frame, "CallFrame", "args", "args")
        wanted = self._field(b, _POINTER, frame, "CallFrame", "rets", "rets")
        data = _alloca(b, _POINTER, arrays)
        with _each(b, operands) as k:
            b.store(self._field(b, _POINTER, _element(b, given, k), "Buffer", "data"), _place(b, data, k))
        with _each(b, b.sub(arrays, operands)) as k:
            address = self._field(b, _POINTER, _element(b, wanted, k), "Buffer", "data")
            b.store(address, _place(b, data, b.add(operands, k)))
        shape = self._field(b, _POINTER, _element(b, wanted, _LONG(0)), "Buffer", "dims")
        batch = b.load(shape, typ=_LONG)
        chunk, width = _get(b, _KERNEL, kernel, "chunk"), _get(b, _KERNEL, kernel, "width")
        with b.if_then(b.icmp_signed("<", batch, width)):
            b.ret(b.call(self.few, [frame, kernel, data, batch]))
        stream = self._streams(b, kernel, batch)
        with b.if_then(b.icmp_signed("<", batch, b.mul(chunk, _LONG(_CHUNKS_TO_SHARE)))):
            b.call(_get(b, _KERNEL, kernel, "rows", _ROWS), [data, _LONG(0), batch, stream])
            b.ret(_POINTER(None))
        self._ask_for_huge_pages(b, kernel, data, batch)
        b.call(self.share, [frame, kernel, data, batch])
        b.ret(_POINTER(None))

    def _ask_for_huge_pages(self, b: ir.IRBuilder, kernel: Any, data: Any, batch: Any) -> None:
        """Of the memory of large results, as NumPy does: most of their time goes into pages touched first.

        Where Linux has no such pages, it says so, and nothing is lost.
        """
        if "linux" not in self.triple:
            return
        madvise = self._external("madvise", _INT, _LONG, _LONG, _INT)
        operands, arrays = _get(b, _KERNEL, kernel, "operands"), _get(b, _KERNEL, kernel, "arrays")
        sizes = b.gep(kernel, [_LONG(8 * _KERNEL["bytes"])], source_etype=_BYTE)
        with _each(b, b.sub(arrays, operands)) as result:
            k = b.add(operands, result)
            size = b.mul(_element(b, sizes, k, _LONG), batch)
            with b.if_then(b.icmp_unsigned(">=", size, _LONG(_HUGE_BYTES))):
                address = b.ptrtoint(_element(b, data, k), _LONG)
                first = b.and_(b.add(address, _LONG(_PAGE - 1)), _LONG(-_PAGE))
                end = b.and_(b.add(address, size), _LONG(-_PAGE))
                b.call(madvise, [first, b.sub(end, first), _INT(_MADV_HUGEPAGE)])

    def _streams(self, b: ir.IRBuilder, kernel: Any, batch: Any) -> Any:
        """Whether the results of so many rows bypass the cache."""
        return b.icmp_signed(">=", batch, _get(b, _KERNEL, kernel, "streamed"))

    def _answer_metadata(self, b: ir.IRBuilder, extension: Any) -> None:
        """Which version of the interface is spoken; none of the traits that a handler may have is claimed."""
        metadata = self._field(b, _POINTER, extension, "Metadata_Extension", "metadata")
        for part, number in zip(("major_version", "minor_version"), self.layout.version, strict=True):
            b.store(_INT(number), self._at(b, metadata, "Metadata", "api_version", part))
        b.store(_INT(0), self._at(b, metadata, "Metadata", "traits"))
        b.ret(_POINTER(None))

    def _check(self, b: ir.IRBuilder, frame: Any, operands: Any, results: Any) -> None:
        """Refuse a frame of another version, or with other arrays than the kernel's."""
        size = self._field(b, _LONG, frame, "CallFrame", "struct_size")
        fits = b.icmp_unsigned(">=", size, _LONG(self.layout.sizes["CallFrame"]))
        for part, count in (("args", operands), ("rets", results)):
            given = self._field(b, _LONG, frame, "CallFrame", part, "size")
            fits = b.and_(fits, b.icmp_signed("==", given, count))
        with b.if_then(b.not_(fits)):
            self._fail(b, frame, "a kernel got other arrays than it was compiled for", "INVALID_ARGUMENT")

    def _few_rows(self) -> ir.Function:
        """Carry out fewer rows than the loop takes: they are copied to where there is room for that many."""
        b, (frame, kernel, data, batch) = self._function("few", _POINTER, _POINTER, _POINTER, _POINTER, _LONG)
        with b.if_then(b.icmp_signed("==", batch, _LONG(0))):
            b.ret(_POINTER(None))
        operands, arrays = _get(b, _KERNEL, kernel, "operands"), _get(b, _KERNEL, kernel, "arrays")
        width = _get(b, _KERNEL, kernel, "width")
        sizes = b.gep(kernel, [_LONG(8 * _KERNEL["bytes"])], source_etype=_BYTE)
        copies, offset = _alloca(b, _POINTER, arrays), _alloca(b, _LONG)
        b.store(_LONG(64), offset)
        with _each(b, arrays) as k:
            room = b.mul(_element(b, sizes, k, _LONG), width)
            b.store(b.add(b.load(offset, typ=_LONG), _rounded_up(b, room)), offset)
        total = b.load(offset, typ=_LONG)
        memory = b.call(self.malloc, [total])
        with b.if_then(b.icmp_unsigned("==", memory, _POINTER(None))):
            self._fail(b, frame, "no memory for the rows of a kernel", "RESOURCE_EXHAUSTED")
        memset = self.module.declare_intrinsic("llvm.memset", [_POINTER, _LONG])
        memcpy = self.module.declare_intrinsic("llvm.memcpy", [_POINTER, _POINTER, _LONG])
        # Whatever the rows are that nobody asked for, they should not be slow.
        b.call(memset, [memory, _BYTE(0), total, _TRUTH(0)])
        b.store(_LONG(0), offset)
        with _each(b, arrays) as k:
            size, array = _element(b, sizes, k, _LONG), _element(b, data, k)
            place = b.load(offset, typ=_LONG)
            copy = b.gep(memory, [place], source_etype=_BYTE)
            b.store(b.add(place, _rounded_up(b, b.mul(size, width))), offset)
            b.store(array, _place(b, copies, k))
            with b.if_then(b.icmp_signed("!=", size, _LONG(0))):
                b.store(copy, _place(b, copies, k))
                with b.if_then(b.icmp_signed("<", k, operands)):
                    b.call(memcpy, [copy, array, b.mul(size, batch), _TRUTH(0)])
        b.call(_get(b, _KERNEL, kernel, "rows", _ROWS), [copies, _LONG(0), width, _TRUTH(0)])
        with _each(b, b.sub(arrays, operands)) as result:
            k = b.add(operands, result)
            size = b.mul(_element(b, sizes, k, _LONG), batch)
            b.call(memcpy, [_element(b, data, k), _element(b, copies, k), size, _TRUTH(0)])
        b.call(self.free, [memory])
        b.ret(_POINTER(None))
        return b.function

    # ---- threads

    def _work(self) -> ir.Function:
        """Claim chunks and carry them out until none is left."""
        b, (state,) = self._function("work", ir.VoidType(), _POINTER)
        chunks, share, batch = (_get(b, _STATE, state, name) for name in ("chunks", "share", "batch"))
        rows = _get(b, _STATE, state, "rows", _ROWS)
        stream = b.trunc(_get(b, _STATE, state, "stream"), _TRUTH)
        arrays, counter = _field(b, _STATE, state, "arrays"), _field(b, _STATE, state, "next")
        claim, carry_out, nothing = (b.append_basic_block(x) for x in ("claim", "carry_out", "nothing_left"))
        b.branch(claim)
        b.position_at_end(claim)
        chunk = b.atomic_rmw("add", counter, _LONG(1), "monotonic")
        b.cbranch(b.icmp_signed("<", chunk, chunks), carry_out, nothing)
        b.position_at_end(carry_out)
        first = b.mul(chunk, share)
        last = b.icmp_signed("==", b.add(chunk, _LONG(1)), chunks)
        b.call(rows, [arrays, first, b.select(last, batch, b.add(first, share)), stream])
        b.atomic_rmw("add", _field(b, _STATE, state, "done"), _LONG(1), "release")
        b.branch(claim)
        b.position_at_end(nothing)
        b.ret_void()
        return b.function

    def _release(self) -> ir.Function:
        """Let go of the state, which the last one frees."""
        b, (state,) = self._function("release", ir.VoidType(), _POINTER)
        before = b.atomic_rmw("sub", _field(b, _STATE, state, "holders"), _LONG(1), "acq_rel")
        with b.if_then(b.icmp_signed("==", before, _LONG(1))):
            b.call(self.free, [state])
        b.ret_void()
        return b.function

    def _help(self) -> ir.Function:
        """The task of a thread of the pool."""
        b, (state,) = self._function("help", ir.VoidType(), _POINTER)
        b.call(self.work, [state])
        b.call(self.release, [state])
        b.ret_void()
        return b.function

    def _share(self) -> ir.Function:
        """Carry out all rows, with the help of the pool's threads; without, if anything stands against it."""
        b, (frame, kernel, data, batch) = self._function(
            "share", ir.VoidType(), _POINTER, _POINTER, _POINTER, _LONG
        )
        threads_at = _alloca(b, _LONG)
        b.store(_LONG(1), threads_at)
        context = self._field(b, _POINTER, frame, "CallFrame", "ctx")
        question = self._arguments(b, "ThreadPool_NumThreads_Args", ctx=context, num_threads=threads_at)
        error = self._call(b, frame, "ThreadPool_NumThreads", question)
        with b.if_then(b.icmp_unsigned("!=", error, _POINTER(None))):
            b.call(self.forget, [frame, error])
            b.store(_LONG(1), threads_at)
        threads = b.load(threads_at, typ=_LONG)
        arrays = _get(b, _KERNEL, kernel, "arrays")
        rows, stream = _get(b, _KERNEL, kernel, "rows", _ROWS), self._streams(b, kernel, batch)
        bytes_of_arrays = b.mul(arrays, _LONG(8))
        state_at = _alloca(b, _POINTER)
        b.store(_POINTER(None), state_at)
        with b.if_then(b.icmp_signed(">", threads, _LONG(1))):
            b.store(b.call(self.malloc, [b.add(bytes_of_arrays, _LONG(8 * _STATE["arrays"]))]), state_at)
        state = b.load(state_at, typ=_POINTER)
        with b.if_then(b.icmp_unsigned("==", state, _POINTER(None))):
            b.call(rows, [data, _LONG(0), batch, stream])
            b.ret_void()

        # As many chunks as keep all busy to the end, each of whole vectors; the last one takes the rest.
        possible = b.udiv(batch, _get(b, _KERNEL, kernel, "chunk"))
        wanted = _least(b, possible, b.mul(threads, _LONG(_CHUNKS_PER_THREAD)))
        share = b.udiv(batch, wanted)
        share = b.sub(share, b.urem(share, _get(b, _KERNEL, kernel, "width")))
        chunks = b.udiv(batch, share)
        helpers = b.sub(_least(b, threads, chunks), _LONG(1))
        known = {"holders": b.add(helpers, _LONG(1)), "next": _LONG(0), "done": _LONG(0), "chunks": chunks}
        known |= {"share": share, "batch": batch, "stream": b.zext(stream, _LONG), "rows": rows}
        for name, value in known.items():
            b.store(value, _field(b, _STATE, state, name))
        with _each(b, arrays) as k:
            b.store(_element(b, data, k), _place(b, _field(b, _STATE, state, "arrays"), k))
        task = self._arguments(
            b, "ThreadPool_Schedule_Args", ctx=context, task=b.bitcast(self.help, _POINTER), data=state
        )
        with _each(b, helpers):
            error = self._call(b, frame, "ThreadPool_Schedule", task)
            with b.if_then(b.icmp_unsigned("!=", error, _POINTER(None))):
                b.call(self.forget, [frame, error])
                b.call(self.release, [state])
        b.call(self.work, [state])
        self._wait(b, _field(b, _STATE, state, "done"), chunks)
        b.call(self.release, [state])
        b.ret_void()
        return b.function

    def _wait(self, b: ir.IRBuilder, counter: Any, number: Any) -> None:
        """Until all chunks are done: those that are not have been begun by other threads."""
        look, wait, after = (b.append_basic_block(x) for x in ("look", "wait", "all_done"))
        before = b.block
        b.branch(look)
        b.position_at_end(look)
        turn = b.phi(_LONG)
        turn.add_incoming(_LONG(0), before)
        done = b.load_atomic(counter, "acquire", 8, typ=_LONG)
        b.cbranch(b.icmp_signed(">=", done, number), after, wait)
        b.position_at_end(wait)
        with b.if_else(b.icmp_signed("<", turn, _LONG(_PATIENCE))) as (patient, impatient):
            with patient:
                self._pause(b)
            with impatient:
                b.call(self.give_way, [])
        turn.add_incoming(b.add(turn, _LONG(1)), b.block)
        b.branch(look)
        b.position_at_end(after)

    def _pause(self, b: ir.IRBuilder) -> None:
        """Tell the CPU that a thread only waits."""
        if self.triple.startswith("x86_64"):
            b.call(self._external("llvm.x86.sse2.pause", ir.VoidType()), [])
        elif self.triple.startswith(("aarch64", "arm64")):
            b.call(self._external("llvm.aarch64.hint", ir.VoidType(), _INT), [_INT(1)])


def _field(b: ir.IRBuilder, struct: dict[str, int], pointer: Any, name: str) -> Any:
    """The address of a field of one of our structs, of eight bytes each."""
    return b.gep(pointer, [_LONG(8 * struct[name])], source_etype=_BYTE)


def _get(b: ir.IRBuilder, struct: dict[str, int], pointer: Any, name: str, kind: Any = _LONG) -> Any:
    return b.load(_field(b, struct, pointer, name), typ=kind)


def _place(b: ir.IRBuilder, pointer: Any, k: Any) -> Any:
    """The address of an entry of eight bytes."""
    return b.gep(pointer, [k], source_etype=_LONG)


def _element(b: ir.IRBuilder, pointer: Any, k: Any, kind: Any = _POINTER) -> Any:
    return b.load(_place(b, pointer, k), typ=kind)


def _least(b: ir.IRBuilder, x: Any, y: Any) -> Any:
    return b.select(b.icmp_signed("<", x, y), x, y)


def _rounded_up(b: ir.IRBuilder, size: Any) -> Any:
    """To whole cache lines."""
    return b.and_(b.add(size, _LONG(63)), _LONG(-64))


def _alloca(b: ir.IRBuilder, kind: Any, count: Any = None) -> Any:
    """Room on the stack, whose address has no more of a type than others."""
    pointer = b.alloca(kind, count)
    pointer.type = _POINTER
    return pointer


@contextlib.contextmanager
def _each(b: ir.IRBuilder, count: Any) -> Iterator[Any]:
    """A loop over the numbers below another."""
    head, body, after = (b.append_basic_block(x) for x in ("each", "each_body", "each_done"))
    before = b.block
    b.branch(head)
    b.position_at_end(head)
    k = b.phi(_LONG)
    k.add_incoming(_LONG(0), before)
    b.cbranch(b.icmp_signed("<", k, count), body, after)
    b.position_at_end(body)
    yield k
    k.add_incoming(b.add(k, _LONG(1)), b.block)
    b.branch(head)
    b.position_at_end(after)
