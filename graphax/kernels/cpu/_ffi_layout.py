"""Where the fields of XLA's foreign function interface lie, as the installed headers declare them."""

from __future__ import annotations

import functools
import pathlib
import re

import jax

_SCALARS = {"size_t": 8, "int64_t": 8, "int": 4, "int32_t": 4, "uint32_t": 4}


class Struct:
    """A C struct: the offsets of its fields, the structs that some of these are, and its size."""

    def __init__(self) -> None:
        self.offsets: dict[str, int] = {}
        self.inner: dict[str, str] = {}
        self.size, self.alignment = 0, 1

    def append(self, name: str, size: int, alignment: int) -> None:
        """A field after the others."""
        self.offsets[name] = -(-self.size // alignment) * alignment
        self.size = self.offsets[name] + size
        self.alignment = max(self.alignment, alignment)


class Layout:
    """The interface of one version of the headers.

    Attributes:
        version: major and minor version.
        structs: by their names, without ``XLA_FFI_``.
        sizes: what their field ``struct_size`` has to say.
        enums: their members' numbers.
    """

    def __init__(self, header: str) -> None:
        text = re.sub(r"/\*.*?\*/|//[^\n]*", "", header, flags=re.S)
        self.version = tuple(
            int(re.findall(rf"#define XLA_FFI_API_{part}\s+(\d+)", text)[0]) for part in ("MAJOR", "MINOR")
        )
        self.enums = {
            name: int(number) for name, number in re.findall(r"XLA_FFI_(\w+)\s*=\s*(\d+)\s*[,}]", text)
        }
        enums = set(re.findall(r"typedef enum[^{]*{[^}]*}\s*XLA_FFI_(\w+);", text))
        self.structs: dict[str, Struct] = {}
        for name, body in re.findall(r"struct XLA_FFI_(\w+)\s*{(.*?)}", text, flags=re.S):
            self.structs[name] = self._struct(body, enums)
        self.sizes = {name: struct.size for name, struct in self.structs.items()}
        for name, last in re.findall(r"DEFINE_STRUCT_TRAITS\(XLA_FFI_(\w+),\s*(\w+)\)", text):
            if name in self.structs:
                self.sizes[name] = self._end(name, last.removeprefix("XLA_FFI_"))

    def _struct(self, body: str, enums: set[str]) -> Struct:
        struct = Struct()
        body = re.sub(r"_XLA_FFI_API_STRUCT_FIELD\(XLA_FFI_(\w+)\)", r"void* \1", body)
        for field in filter(None, (line.strip() for line in body.split(";"))):
            pointer = re.search(r"\(\*(\w+)\)", field)
            name = pointer[1] if pointer else field.split()[-1].lstrip("*")
            kind = " ".join(field.split()[:-1]).removeprefix("XLA_FFI_")
            if pointer or "*" in field:
                struct.append(name, 8, 8)
            elif kind in self.structs:
                inner, struct.inner[name] = self.structs[kind], kind
                struct.append(name, -(-inner.size // inner.alignment) * inner.alignment, inner.alignment)
            elif kind in _SCALARS or kind in enums or kind == "Handler_Traits":
                size = _SCALARS.get(kind, 4)
                struct.append(name, size, size)
            else:
                raise ValueError(f"XLA's headers declare a field of an unknown type: {field}")
        return struct

    def _end(self, name: str, last: str) -> int:
        """Where a struct ends, up to the field that its size counts as the last."""
        struct = self.structs[name]
        later = [offset for offset in struct.offsets.values() if offset > struct.offsets[last]]
        return min(later) if later else struct.size

    def offset(self, struct: str, field: str, *inner: str) -> int:
        """Where a field lies; further names are those of fields of the struct that it is."""
        place = self.structs[struct].offsets[field]
        return place + (self.offset(self.structs[struct].inner[field], *inner) if inner else 0)


@functools.cache
def layout() -> Layout:
    """The layout that the installed jaxlib declares.

    Raises:
        OSError: there are no headers.
    """
    path = pathlib.Path(jax.ffi.include_dir(), "xla", "ffi", "api", "c_api.h")
    return Layout(path.read_text())
