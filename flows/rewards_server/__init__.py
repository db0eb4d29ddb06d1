"""Rewards over HTTP: for training loops, and for Label Studio as its ML backend."""
