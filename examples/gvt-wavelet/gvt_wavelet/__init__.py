"""The Haar wavelet for gvt."""
