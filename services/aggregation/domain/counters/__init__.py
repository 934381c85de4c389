"""What the values of a counter mean: accepted levels, increases, corrections; nothing about windows."""
