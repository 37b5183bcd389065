"""Layers of networks: transformers, tensor trains for matrices, attention by block terms and dimensions."""

from .. import _require_train as _require_train
from ._attention import BlockTermAttention, DimensionAttention
from ._decompose import TensorTrain, balanced_modes, feasible_ranks, tt_svd
from ._tensor_train import TTEmbedding, TTLinear
from .transformer import AgentConfig, TransformerLayer

__all__ = [
    "AgentConfig",
    "BlockTermAttention",
    "DimensionAttention",
    "TTEmbedding",
    "TTLinear",
    "TensorTrain",
    "TransformerLayer",
    "balanced_modes",
    "feasible_ranks",
    "tt_svd",
]
