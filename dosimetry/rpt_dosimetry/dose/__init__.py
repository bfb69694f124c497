"""Absorbed dose from time-integrated activity, and what is told of it per organ."""
