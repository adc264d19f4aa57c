"""Recipes with heads of several families on one backbone."""
