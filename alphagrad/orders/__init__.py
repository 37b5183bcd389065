"""Elimination orders, learned and searched for: the game, its network, the commands."""
