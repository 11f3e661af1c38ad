"""Writes a corpus for the fuzzer: `corpus.py OUT FOLDER…` takes the small data files of folders, with two bytes before each."""
import pathlib
import sys

KINDS = {".hdf5": 0, ".h5": 1, ".npz": 2, ".csv": 3}
out = pathlib.Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)
count = 0
for folder in sys.argv[2:]:
    for file in sorted(pathlib.Path(folder).rglob("*")):
        if file.is_file() and file.suffix in KINDS and file.stat().st_size <= 64 * 1024:
            for options in (0, 1):
                name = f"{count:04}-{file.stem}-{options}"
                (out / name).write_bytes(bytes([KINDS[file.suffix], options]) + file.read_bytes())
                count += 1
print(count, "files")
