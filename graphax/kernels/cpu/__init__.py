"""Kernels as machine code: scalar programs as LLVM IR, and the handler by which XLA calls them."""
