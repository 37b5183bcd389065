"""Networks that play games, as Equinox modules."""

from ._agent import Agent, AgentConfig, Prediction, make_agent
from .transformer import TransformerLayer
from .vertex import VertexAgent

__all__ = ["Agent", "AgentConfig", "Prediction", "TransformerLayer", "VertexAgent", "make_agent"]
