"""Reading media headers in processes without rights; nothing here fetches a byte."""
