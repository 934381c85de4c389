"""The reading side: averages, lists, corrections and live streams, from what is committed; nothing here writes."""
