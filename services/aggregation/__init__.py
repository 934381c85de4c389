"""Windows, counters and alarms of all series: takes readings from the stream, closes windows, answers questions about
them."""
