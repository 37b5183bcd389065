"""Schemes for matrix multiplication, learned and searched for: the game, its network, the commands."""
