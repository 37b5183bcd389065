"""The function that XLA calls: it takes a kernel's arrays from a call frame and shares the rows among threads.

The pool's threads only help. Rows are claimed in chunks by a counter in a state on the heap; the calling thread
claims chunks like the others and then waits for those that others have begun, never for a task that may not
have started. A task that starts late finds nothing left and only releases the state.
"""

from __future__ import annotations

from typing import NamedTuple

from ._ffi_layout import Layout, layout
from ._instructions import SIZES
from ._llvm import Loop
from ._program import ScalarProgram

#: What a chunk of rows should take at least, in cycles: some microseconds.
_CHUNK_CYCLES = 40_000
_CHUNKS_PER_THREAD = 8
#: The state that threads share: counters, and the arrays' addresses behind them.
_STATE = "{ i64, i64, i64, i64, i64, i64 }"
_REFERENCES, _NEXT, _DONE, _CHUNKS, _ROWS, _BATCH = range(6)
_STATE_BYTES = 48
_MESSAGES = {
    "no_memory": "no memory for the rows of a kernel",
    "not_its_arrays": "a kernel is called with other arrays than it was compiled for",
}

#: What does not depend on the program: claiming chunks, and letting go of the state.
_SHARED = f"""
define internal void @work(ptr %state) nounwind {{
entry:
  %next.at = getelementptr {_STATE}, ptr %state, i32 0, i32 {_NEXT}
  %done.at = getelementptr {_STATE}, ptr %state, i32 0, i32 {_DONE}
  %chunks.at = getelementptr {_STATE}, ptr %state, i32 0, i32 {_CHUNKS}
  %rows.at = getelementptr {_STATE}, ptr %state, i32 0, i32 {_ROWS}
  %batch.at = getelementptr {_STATE}, ptr %state, i32 0, i32 {_BATCH}
  %arrays = getelementptr i8, ptr %state, i64 {_STATE_BYTES}
  %chunks = load i64, ptr %chunks.at
  %rows = load i64, ptr %rows.at
  %batch = load i64, ptr %batch.at
  br label %claim
claim:
  %chunk = atomicrmw add ptr %next.at, i64 1 monotonic
  %claimed = icmp slt i64 %chunk, %chunks
  br i1 %claimed, label %carry.out, label %nothing.left
carry.out:
  %first = mul i64 %chunk, %rows
  %following = add i64 %chunk, 1
  %inner = icmp slt i64 %following, %chunks
  %full = add i64 %first, %rows
  %end = select i1 %inner, i64 %full, i64 %batch
  call void @rows(ptr %arrays, i64 %first, i64 %end)
  %finished = atomicrmw add ptr %done.at, i64 1 release
  br label %claim
nothing.left:
  ret void
}}

define internal void @release(ptr %state) nounwind {{
entry:
  %references.at = getelementptr {_STATE}, ptr %state, i32 0, i32 {_REFERENCES}
  %before = atomicrmw sub ptr %references.at, i64 1 acq_rel
  %last = icmp eq i64 %before, 1
  br i1 %last, label %nobody, label %somebody
nobody:
  call void @free(ptr %state)
  ret void
somebody:
  ret void
}}

define internal void @help(ptr %state) nounwind {{
entry:
  call void @work(ptr %state)
  call void @release(ptr %state)
  ret void
}}
"""


class Pause(NamedTuple):
    """How a thread waits: the calls, and the declarations of what they call."""

    briefly: str
    for_others: str
    declarations: tuple[str, ...]


def _pause(triple: str) -> Pause:
    """How a thread waits on a machine."""
    give_way = "SwitchToThread" if "windows" in triple else "sched_yield"
    declared = f"declare i32 @{give_way}()"
    if triple.startswith("x86_64"):
        brief = "call void @llvm.x86.sse2.pause()"
        return Pause(brief, f"call i32 @{give_way}()", (declared, "declare void @llvm.x86.sse2.pause()"))
    if triple.startswith(("aarch64", "arm64")):
        brief = "call void @llvm.aarch64.hint(i32 1)"
        return Pause(brief, f"call i32 @{give_way}()", (declared, "declare void @llvm.aarch64.hint(i32)"))
    return Pause("fence acquire", f"call i32 @{give_way}()", (declared,))


def handler(program: ScalarProgram, batched: tuple[bool, ...], loop: Loop, name: str, triple: str) -> str:
    """LLVM IR of a handler, a function of the call frame, and of all that it calls but the loop over rows.

    Args:
        program: the program.
        batched: which of its operands have rows.
        loop: the emitted loop.
        name: the handler's name.
        triple: the machine, as LLVM names it.
    """
    return _Handler(program, batched, loop, name, _pause(triple)).text()


class _Handler:
    """The text of one handler."""

    def __init__(
        self, program: ScalarProgram, batched: tuple[bool, ...], loop: Loop, name: str, pause: Pause
    ) -> None:
        self.program, self.batched, self.loop, self.name, self.pause = program, batched, loop, name, pause
        self.layout: Layout = layout()
        self.arrays = len(program.operands) + len(program.results)
        self.lines: list[str] = []

    def text(self) -> str:
        functions = [self._handler(), self._failure(), self._shared_among_threads(), _SHARED]
        if self.loop.width > 1:
            functions.append(self._few_rows())
        declarations = [
            "declare ptr @malloc(i64)",
            "declare void @free(ptr)",
            "declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)",
            "declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)",
            *self.pause.declarations,
            *(
                f'@{name} = private constant [{len(text) + 1} x i8] c"{text}\\00"'
                for name, text in _MESSAGES.items()
            ),
        ]
        return "\n".join([*declarations, *functions])

    # ---- fields

    def _value(self, line: str) -> str:
        name = f"%t{len(self.lines)}"
        self.lines.append(f"  {name} = {line}")
        return name

    def _do(self, line: str) -> None:
        self.lines.append(f"  {line}")

    def _label(self, name: str) -> None:
        self.lines.append(f"{name}:")

    def _at(self, pointer: str, offset: int) -> str:
        return self._value(f"getelementptr i8, ptr {pointer}, i64 {offset}")

    def _load(self, kind: str, pointer: str, offset: int = 0) -> str:
        return self._value(f"load {kind}, ptr {self._at(pointer, offset)}")

    def _field(self, kind: str, pointer: str, struct: str, *fields: str) -> str:
        return self._load(kind, pointer, self.layout.offset(struct, *fields))

    def _set(self, value: str, pointer: str, struct: str, *fields: str) -> None:
        self._do(f"store {value}, ptr {self._at(pointer, self.layout.offset(struct, *fields))}")

    def _arguments(self, struct: str) -> str:
        """A struct for a call of the interface, zero but for its size."""
        size = -(-self.layout.structs[struct].size // 8)
        pointer = self._value(f"alloca [{size} x i64], align 8")
        self._do(f"store [{size} x i64] zeroinitializer, ptr {pointer}")
        self._set(f"i64 {self.layout.sizes[struct]}", pointer, struct, "struct_size")
        return pointer

    def _call(self, frame: str, function: str, arguments: str) -> str:
        api = self._field("ptr", frame, "CallFrame", "api")
        return self._value(f"call ptr {self._field('ptr', api, 'Api', function)}(ptr {arguments})")

    def _finish(self, header: str) -> str:
        lines, self.lines = self.lines, []
        return "\n".join([header, "entry:", *lines, "}", ""])

    # ---- functions

    def _handler(self) -> str:
        width = self.loop.width
        extension = self._field("ptr", "%frame", "CallFrame", "extension_start")
        asked = self._value(f"icmp ne ptr {extension}, null")
        self._do(f"br i1 {asked}, label %extended, label %run")

        self._label("extended")
        kind = self._field("i32", extension, "Extension_Base", "type")
        asked = self._value(f"icmp eq i32 {kind}, {self.layout.enums['Extension_Metadata']}")
        self._do(f"br i1 {asked}, label %metadata, label %run")
        self._label("metadata")
        metadata = self._field("ptr", extension, "Metadata_Extension", "metadata")
        for part, number in zip(("major_version", "minor_version"), self.layout.version, strict=True):
            self._set(f"i32 {number}", metadata, "Metadata", "api_version", part)
        self._set("i32 0", metadata, "Metadata", "traits")
        self._do("ret ptr null")

        self._label("run")
        known = self.layout.sizes["CallFrame"]
        size = self._field("i64", "%frame", "CallFrame", "struct_size")
        given = self._field("i64", "%frame", "CallFrame", "args", "size")
        asked = self._field("i64", "%frame", "CallFrame", "rets", "size")
        fits = [
            self._value(f"icmp uge i64 {size}, {known}"),
            self._value(f"icmp eq i64 {given}, {len(self.program.operands)}"),
            self._value(f"icmp eq i64 {asked}, {len(self.program.results)}"),
        ]
        fit = self._value(f"and i1 {fits[0]}, {self._value(f'and i1 {fits[1]}, {fits[2]}')}")
        self._do(f"br i1 {fit}, label %arrays, label %not.its.arrays")
        self._label("not.its.arrays")
        self._fail("not_its_arrays", "INVALID_ARGUMENT")
        self._label("arrays")
        arrays = self._value(f"alloca [{self.arrays} x ptr], align 8")
        operands = self._field("ptr", "%frame", "CallFrame", "args", "args")
        results = self._field("ptr", "%frame", "CallFrame", "rets", "rets")
        count, shape = len(self.program.operands), "null"
        for k in range(self.arrays):
            buffer = (
                self._load("ptr", operands, 8 * k)
                if k < count
                else self._load("ptr", results, 8 * (k - count))
            )
            data = self._field("ptr", buffer, "Buffer", "data")
            self._do(f"store ptr {data}, ptr {self._at(arrays, 8 * k)}")
            if k == count:
                shape = self._field("ptr", buffer, "Buffer", "dims")
        batch = self._load("i64", shape)
        chunk = max(1, round(_CHUNK_CYCLES / self.loop.cost / width)) * width
        many = self._value(f"icmp sge i64 {batch}, {2 * chunk}")
        self._do(f"br i1 {many}, label %shared, label %alone")
        self._label("shared")
        self._do(f"call void @share(ptr %frame, ptr {arrays}, i64 {batch}, i64 {chunk})")
        self._do("ret ptr null")
        self._label("alone")
        enough = self._value(f"icmp sge i64 {batch}, {width}")
        self._do(f"br i1 {enough}, label %direct, label %few")
        self._label("direct")
        self._do(f"call void @rows(ptr {arrays}, i64 0, i64 {batch})")
        self._do("ret ptr null")
        self._label("few")
        if width > 1:
            self._do(f"ret ptr {self._value(f'call ptr @few_rows(ptr %frame, ptr {arrays}, i64 {batch})')}")
        else:
            self._do("ret ptr null")
        return self._finish(f"define ptr @{self.name}(ptr %frame) nounwind {{")

    def _few_rows(self) -> str:
        """Fewer rows than are worked on at once: they are copied to where there is room for more."""
        program, width = self.program, self.loop.width
        sizes = [
            SIZES[x.kind] * x.size if rows else 0
            for x, rows in zip(program.operands, self.batched, strict=True)
        ]
        sizes += [SIZES[r.kind] * len(r.entries) for r in program.results]
        places = [0]
        for size in sizes:
            places.append(places[-1] + -(-size * width // 64) * 64)
        none = self._value("icmp eq i64 %batch, 0")
        self._do(f"br i1 {none}, label %nothing, label %some")
        self._label("nothing")
        self._do("ret ptr null")
        self._label("some")
        room = self._value(f"call ptr @malloc(i64 {max(64, places[-1])})")
        full = self._value(f"icmp eq ptr {room}, null")
        self._do(f"br i1 {full}, label %no.memory, label %copy")

        self._label("no.memory")
        self._fail("no_memory", "RESOURCE_EXHAUSTED")

        self._label("copy")
        inputs = places[len(program.operands)]
        self._do(f"call void @llvm.memset.p0.i64(ptr {room}, i8 0, i64 {inputs}, i1 false)")
        copies = self._value(f"alloca [{self.arrays} x ptr], align 8")
        for k, (size, place) in enumerate(zip(sizes, places, strict=False)):
            array = self._load("ptr", "%arrays", 8 * k)
            copy = self._at(room, place) if size else array
            self._do(f"store ptr {copy}, ptr {self._at(copies, 8 * k)}")
            if size and k < len(program.operands):
                self._copy(copy, array, size)
        self._do(f"call void @rows(ptr {copies}, i64 0, i64 {width})")
        for k in range(len(program.operands), self.arrays):
            if sizes[k]:
                self._copy(self._load("ptr", "%arrays", 8 * k), self._load("ptr", copies, 8 * k), sizes[k])
        self._do(f"call void @free(ptr {room})")
        self._do("ret ptr null")
        return self._finish("define internal ptr @few_rows(ptr %frame, ptr %arrays, i64 %batch) nounwind {")

    def _fail(self, message: str, code: str) -> None:
        """Return with an error."""
        number = self.layout.enums[f"Error_Code_{code}"]
        self._do(f"ret ptr {self._value(f'call ptr @fail(ptr %frame, ptr @{message}, i32 {number})')}")

    def _failure(self) -> str:
        error = self._arguments("Error_Create_Args")
        self._set("ptr %message", error, "Error_Create_Args", "message")
        self._set("i32 %code", error, "Error_Create_Args", "errc")
        self._do(f"ret ptr {self._call('%frame', 'Error_Create', error)}")
        return self._finish("define internal ptr @fail(ptr %frame, ptr %message, i32 %code) nounwind {")

    def _copy(self, to: str, source: str, bytes_a_row: int) -> None:
        size = self._value(f"mul i64 %batch, {bytes_a_row}")
        self._do(f"call void @llvm.memcpy.p0.p0.i64(ptr {to}, ptr {source}, i64 {size}, i1 false)")

    def _shared_among_threads(self) -> str:
        """All threads of the pool are asked for help; whatever goes wrong, this thread does what is left."""
        threads_at = self._value("alloca i64, align 8")
        self._do(f"store i64 1, ptr {threads_at}")
        asked = self._arguments("ThreadPool_NumThreads_Args")
        task = self._arguments("ThreadPool_Schedule_Args")
        destroyed = self._arguments("Error_Destroy_Args")
        context = self._field("ptr", "%frame", "CallFrame", "ctx")
        self._set(f"ptr {context}", asked, "ThreadPool_NumThreads_Args", "ctx")
        self._set(f"ptr {threads_at}", asked, "ThreadPool_NumThreads_Args", "num_threads")
        error = self._call("%frame", "ThreadPool_NumThreads", asked)
        failed = self._value(f"icmp ne ptr {error}, null")
        self._do(f"br i1 {failed}, label %no.pool, label %pool")
        self._label("no.pool")
        self._set(f"ptr {error}", destroyed, "Error_Destroy_Args", "error")
        self._call_nothing("Error_Destroy", destroyed)
        self._do("br label %alone")

        self._label("pool")
        threads = self._load("i64", threads_at)
        several = self._value(f"icmp sgt i64 {threads}, 1")
        self._do(f"br i1 {several}, label %allocate, label %alone")
        self._label("alone")
        self._do("call void @rows(ptr %arrays, i64 0, i64 %batch)")
        self._do("ret void")

        self._label("allocate")
        state = self._value(f"call ptr @malloc(i64 {_STATE_BYTES + 8 * self.arrays})")
        full = self._value(f"icmp eq ptr {state}, null")
        self._do(f"br i1 {full}, label %alone, label %prepare")

        self._label("prepare")
        # As many chunks as keep the threads busy to the end, each of whole vectors; the last takes the rest.
        most = self._value(f"mul i64 {threads}, {_CHUNKS_PER_THREAD}")
        possible = self._value("udiv i64 %batch, %chunk")
        fewer = self._value(f"icmp slt i64 {possible}, {most}")
        wanted = self._value(f"select i1 {fewer}, i64 {possible}, i64 {most}")
        share = self._value(f"udiv i64 %batch, {wanted}")
        rows = self._value(f"sub i64 {share}, {self._value(f'urem i64 {share}, {self.loop.width}')}")
        chunks = self._value(f"udiv i64 %batch, {rows}")
        others = self._value(f"sub i64 {threads}, 1")
        left = self._value(f"sub i64 {chunks}, 1")
        fewer = self._value(f"icmp slt i64 {left}, {others}")
        helpers = self._value(f"select i1 {fewer}, i64 {left}, i64 {others}")
        references = self._value(f"add i64 {helpers}, 1")
        values = {
            _REFERENCES: references,
            _NEXT: "0",
            _DONE: "0",
            _CHUNKS: chunks,
            _ROWS: rows,
            _BATCH: "%batch",
        }
        for place, value in values.items():
            self._do(f"store i64 {value}, ptr {self._at(state, 8 * place)}")
        copy = self._at(state, _STATE_BYTES)
        self._do(
            f"call void @llvm.memcpy.p0.p0.i64(ptr {copy}, ptr %arrays, i64 {8 * self.arrays}, i1 false)"
        )
        self._set(f"ptr {context}", task, "ThreadPool_Schedule_Args", "ctx")
        self._set("ptr @help", task, "ThreadPool_Schedule_Args", "task")
        self._set(f"ptr {state}", task, "ThreadPool_Schedule_Args", "data")
        self._do("br label %ask")

        self._label("ask")
        self._do("%helper = phi i64 [0, %prepare], [%following, %asked]")
        enough = self._value(f"icmp sge i64 %helper, {helpers}")
        self._do(f"br i1 {enough}, label %carry.out, label %schedule")
        self._label("schedule")
        refused = self._call("%frame", "ThreadPool_Schedule", task)
        failed = self._value(f"icmp ne ptr {refused}, null")
        self._do(f"br i1 {failed}, label %refused, label %asked")
        self._label("refused")
        self._set(f"ptr {refused}", destroyed, "Error_Destroy_Args", "error")
        self._call_nothing("Error_Destroy", destroyed)
        self._do(f"call void @release(ptr {state})")
        self._do("br label %asked")
        self._label("asked")
        self._do("%following = add i64 %helper, 1")
        self._do("br label %ask")

        self._label("carry.out")
        self._do(f"call void @work(ptr {state})")
        done = self._at(state, 8 * _DONE)
        self._do("br label %wait")
        self._label("wait")
        self._do("%turn = phi i64 [0, %carry.out], [%turns, %pause], [%turns, %yield]")
        finished = self._value(f"load atomic i64, ptr {done} acquire, align 8")
        complete = self._value(f"icmp sge i64 {finished}, {chunks}")
        self._do(f"br i1 {complete}, label %complete, label %incomplete")
        self._label("incomplete")
        self._do("%turns = add i64 %turn, 1")
        patient = self._value("icmp slt i64 %turn, 200")
        self._do(f"br i1 {patient}, label %pause, label %yield")
        self._label("pause")
        self._do(self.pause.briefly)
        self._do("br label %wait")
        self._label("yield")
        self._value(self.pause.for_others)
        self._do("br label %wait")
        self._label("complete")
        self._do(f"call void @release(ptr {state})")
        self._do("ret void")
        return self._finish(
            "define internal void @share(ptr %frame, ptr %arrays, i64 %batch, i64 %chunk) nounwind {"
        )

    def _call_nothing(self, function: str, arguments: str) -> None:
        api = self._field("ptr", "%frame", "CallFrame", "api")
        self._do(f"call void {self._field('ptr', api, 'Api', function)}(ptr {arguments})")
