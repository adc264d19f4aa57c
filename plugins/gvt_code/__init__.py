"""Tasks that are built in code: train them, save them, and add heads to them."""
