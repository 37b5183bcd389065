"""Matrix multiplication as a tensor: what is known of its exponent."""

from ._block_tensor import (
    BlockTensor,
    BorderScheme,
    border_coppersmith_winograd,
    border_schoenhage,
    coppersmith_winograd,
    matmul_format,
    schoenhage_sum,
    small_coppersmith_winograd,
)
from ._bounds import (
    OmegaRow,
    coppersmith_winograd_power,
    direct_sum_exponent,
    exponent,
    laser_exponent,
    log_value,
    omega_table,
    partition,
)

__all__ = [
    "BlockTensor",
    "BorderScheme",
    "OmegaRow",
    "border_coppersmith_winograd",
    "border_schoenhage",
    "coppersmith_winograd",
    "coppersmith_winograd_power",
    "direct_sum_exponent",
    "exponent",
    "laser_exponent",
    "log_value",
    "matmul_format",
    "omega_table",
    "partition",
    "schoenhage_sum",
    "small_coppersmith_winograd",
]
