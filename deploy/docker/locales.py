"""locales.py FOLDER: leaves of babel's locale data what is read of it: of the languages in which we write all, of
the others the signs and groups of numbers and the formats of dates.

`make images-test` compares what the image knows of every locale with what the whole data say.
"""

import pickle
import sys
from pathlib import Path

WRITTEN = ("root", "de", "en", "fr", "pt")
READ = ("date_formats", "decimal_formats", "number_symbols")

for path in Path(sys.argv[1]).glob("*.dat"):
    if path.stem.partition("_")[0] in WRITTEN:
        continue
    data = pickle.loads(path.read_bytes())  # noqa: S301 - babel's own files, pinned by hash
    path.write_bytes(pickle.dumps({name: data[name] for name in READ if name in data}, protocol=5))
