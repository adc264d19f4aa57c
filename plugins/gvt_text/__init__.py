"""Texts: data sets, a convolutional network on words, and the words that decided."""
