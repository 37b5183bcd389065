"""Matrix multiplication as a tensor: schemes, exactly verified, how to run them, bounds on the exponent."""

from .. import _require_train as _require_train
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
from ._formulas import formulas
from ._known import known_rank
from ._library import best_known
from ._lift import LiftError, lift
from ._lift_any import lift_any, lift_nearby
from ._multiply import multiply
from ._names import is_matmul, read_format
from ._scheme import Scheme, SchemeError, characteristic, matmul_tensor, standard, strassen, winograd
from ._search import flip_search, searchable
from ._transform import (
    canonical,
    change_basis,
    concatenate,
    direct_sum,
    equivalent,
    extend,
    kronecker,
    project,
    rank_triples,
    reduce_modulo,
    rotate,
    sandwiches,
    transpose,
)
from ._walks import FlipProgress

__all__ = [
    "BlockTensor",
    "BorderScheme",
    "FlipProgress",
    "LiftError",
    "OmegaRow",
    "Scheme",
    "SchemeError",
    "best_known",
    "border_coppersmith_winograd",
    "border_schoenhage",
    "canonical",
    "change_basis",
    "characteristic",
    "concatenate",
    "coppersmith_winograd",
    "coppersmith_winograd_power",
    "direct_sum",
    "direct_sum_exponent",
    "equivalent",
    "exponent",
    "extend",
    "flip_search",
    "formulas",
    "is_matmul",
    "known_rank",
    "kronecker",
    "laser_exponent",
    "lift",
    "lift_any",
    "lift_nearby",
    "log_value",
    "matmul_format",
    "matmul_tensor",
    "multiply",
    "omega_table",
    "partition",
    "project",
    "rank_triples",
    "read_format",
    "reduce_modulo",
    "rotate",
    "sandwiches",
    "schoenhage_sum",
    "searchable",
    "small_coppersmith_winograd",
    "standard",
    "strassen",
    "transpose",
    "winograd",
]
