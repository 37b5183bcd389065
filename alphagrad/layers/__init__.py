"""Layers with few parameters: tensor trains for matrices, block terms and dimensions for attention."""

from ._attention import BlockTermAttention, DimensionAttention
from ._decompose import TensorTrain, balanced_modes, feasible_ranks, tt_svd
from ._tensor_train import TTEmbedding, TTLinear

__all__ = [
    "BlockTermAttention",
    "DimensionAttention",
    "TTEmbedding",
    "TTLinear",
    "TensorTrain",
    "balanced_modes",
    "feasible_ranks",
    "tt_svd",
]
