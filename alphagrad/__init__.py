"""Agents that learn to play games whose solutions are algorithms: elimination orders, above all."""
