"""Coverage-guided fuzzing of every decoder, from the same list as `tests/protocol/test_decoding_is_total.py`.

Needs the package `atheris`, which is not among the development tools since it builds for few platforms:

    .venv/bin/python -m pip install atheris
    .venv/bin/python tests/fuzz/fuzz_decoders.py CORPUS -max_total_time=600

CORPUS is a folder; where it is empty it is filled with the samples of all decoders. The first byte of an input
chooses the decoder. A crash is written to a file, which the same command replays when it is given instead of CORPUS.
"""

import importlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

atheris = importlib.import_module("atheris")
with atheris.instrument_imports(include=["moot_protocol"]):
    from moot_testkit.bytes.decoders import DECODERS, check_total


def one_input(data: bytes) -> None:
    """Hand an input to the decoder that its first byte names."""
    if data:
        check_total(DECODERS[data[0] % len(DECODERS)], data[1:])


def fill(corpus: Path) -> None:
    """Write the samples of all decoders into an empty folder."""
    corpus.mkdir(parents=True, exist_ok=True)
    if not any(corpus.iterdir()):
        for number, decoder in enumerate(DECODERS):
            for which, sample in enumerate(decoder.samples):
                (corpus / f"{number}-{which}").write_bytes(bytes([number]) + sample)


if __name__ == "__main__":
    named = [Path(argument) for argument in sys.argv[1:] if not argument.startswith("-")]
    if named and not named[0].is_file():
        fill(named[0])
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
