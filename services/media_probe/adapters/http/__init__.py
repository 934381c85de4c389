"""Files at video servers, read by ranges; what their bytes mean is for `libav`."""
