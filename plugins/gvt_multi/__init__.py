"""Recipes that mix the heads of other families on one backbone."""
