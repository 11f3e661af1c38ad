"""Prints where each of TiltRL's loops spends its time: shares of `perf` samples on one thread, by kind of function.

    benches/peers/where.py --binary target/release/deps/loops-…

The rows do not add up to 100: what is under no heading (loop bookkeeping, setting up) is left out.
"""

import argparse
import subprocess
import tempfile

LOOPS = [
    "train_256",
    "train_1024",
    "mish",
    "norm_gelu",
    "infer_256",
    "infer_4096",
    "rollout_64x20",
    "iql",
    "prior_256",
    "rtb_64x20",
    "rtb_update",
    "rtb_public",
    "evaluation_64x20",
]
KINDS = {
    "products": ["product::", "amx::tiles"],
    "row sweeps": ["rows::forward", "rows::backward"],
    "packing, copies": ["transpose", "Packed::pack", "amx::split", "memmove", "memset"],
    "Adam, averages": ["adam::"],
    "noise": ["rand_chacha", "Noise::"],
    "physics": ["tiltrl_envs"],
    "system": ["[k]"],
}


def kind_of(symbol):
    if "transpose" in symbol or "Packed::pack" in symbol:
        return "packing, copies"
    return next((kind for kind, names in KINDS.items() if any(n in symbol for n in names)), None)


def shares(binary, loop):
    with tempfile.NamedTemporaryFile(suffix=".data") as file:
        record = ["perf", "record", "-q", "-o", file.name, binary, "--threads", "1", "--only", loop]
        subprocess.run(record, check=True, capture_output=True)
        report = ["perf", "report", "-i", file.name, "--stdio", "--sort", "symbol"]
        text = subprocess.run(report, check=True, capture_output=True, text=True).stdout
    total = dict.fromkeys(KINDS, 0.0)
    for line in text.splitlines():
        parts = line.split(maxsplit=1)
        if len(parts) == 2 and parts[0].endswith("%"):
            kind = kind_of(parts[1])
            if kind:
                total[kind] += float(parts[0][:-1])
    return total


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", required=True)
    binary = parser.parse_args().binary
    print(f"| loop | {' | '.join(KINDS)} |")
    print("|---" * (len(KINDS) + 1) + "|")
    for loop in LOOPS:
        found = shares(binary, loop)
        print(f"| {loop} | {' | '.join(f'{found[k]:.0f} %' for k in KINDS)} |", flush=True)


if __name__ == "__main__":
    main()
