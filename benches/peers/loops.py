"""Medians of TiltRL's loops and of the same loops in PyTorch, measured in turns. Run it through `benches/peers/run`.

Every contender measures a few repetitions per round, one after the other, so that a busy machine hurts all alike. A PyTorch
contender is a process of its own (this file with `--serve MODE`), spoken to like `benches/serve.rs`.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

import paths

SHAPES = {
    # name: (repetitions per round, rows times passes; a backward pass counts 1.85, as the input's gradient is not formed)
    "train_256": (10, 2.85 * 256),
    "train_1024": (5, 2.85 * 1024),
    "mish": (10, 2.85 * 256),
    "norm_gelu": (10, 2.85 * 256),
    "infer_1": (200, 1),
    "infer_10": (200, 10),
    "infer_256": (20, 256),
    "infer_4096": (5, 4096),
    "rollout_64x20": (5, 64 * 20),
    "iql": (10, None),
    "prior_256": (10, 2.85 * 256),
    "rtb_64x20": (3, 3.85 * 64 * 20),
    "rtb_update": (3, 3.85 * 64 * 20),
    "rtb_public": (3, 3.85 * 64 * 20),
    "evaluation_64x20": (5, None),
}
NET = [87, 256, 256, 256, 6]
NET_FLOPS = 2 * sum(a * b for a, b in zip(NET, NET[1:]))
# Twin Q and its targets forward, twin Q backward: 8 passes' worth; V twice forward, once backward: 4. The gradient with respect
# to the input of the first layer is never formed.
IQL_FLOPS = 2 * 256 * (8 * 14 * 256 - 2 * 14 * 256 + 8 * 256 * 257 + 4 * 11 * 256 - 11 * 256 + 4 * 256 * 257)
# The network of the closed loop sees 17 observations instead of 65; the physics is not counted.
EVALUATION_FLOPS = 64 * 20 * 2 * (39 * 256 + 2 * 256 * 256 + 256 * 6)
OTHER_FLOPS = {"iql": IQL_FLOPS, "evaluation_64x20": EVALUATION_FLOPS}
GOALS = {
    "train_256": 0.9,
    "train_1024": 1.0,
    "mish": 0.7,
    "infer_1": 0.3,
    "infer_10": 0.5,
    "infer_256": 1.0,
    "infer_4096": 1.1,
    "rollout_64x20": 0.5,
    "iql": 0.7,
    "rtb_64x20": 0.8,
    "rtb_public": 0.3,
    "evaluation_64x20": 0.4,
}


def perceptron(torch, sizes, activation, norm=False):
    layers = []
    for i, (a, b) in enumerate(zip(sizes, sizes[1:])):
        layers.append(torch.nn.Linear(a, b))
        if i + 2 < len(sizes):
            layers += [torch.nn.LayerNorm(b)] if norm else []
            layers.append(activation())
    return torch.nn.Sequential(*layers)


def training(torch, rows, activation, norm, compiled):
    net = perceptron(torch, NET, activation, norm)
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-4, fused=True)
    x, y = torch.randn(rows, NET[0]), torch.randn(rows, NET[-1])
    loss_of = compiled(lambda x, y: torch.nn.functional.mse_loss(net(x), y))

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss_of(x, y).backward()
        optimizer.step()

    return step


def inference(torch, rows, compiled):
    net = compiled(perceptron(torch, NET, torch.nn.SiLU).eval())
    x = torch.randn(rows, NET[0])

    def step():
        with torch.inference_mode():
            net(x)

    return step


def denoising(torch, compiled):
    net = compiled(perceptron(torch, NET, torch.nn.SiLU).eval())
    table = torch.randn(20, 16)
    condition = torch.randn(64, 65)

    def step():
        with torch.inference_mode():
            x = torch.randn(64, 6)
            for k in range(20):
                embedded = table[k].expand(64, 16)
                out = net(torch.cat([x, embedded, condition], 1))
                x = 0.9 * x + 0.1 * out + 0.1 * torch.randn(64, 6)

    return step


def implicit_q(torch, compiled):
    """An update of implicit Q-learning (arXiv:2110.06169): expectile V, twin Q, targets; three Adams."""
    q = [perceptron(torch, [14, 256, 256, 1], torch.nn.ReLU) for _ in range(2)]
    target = [perceptron(torch, [14, 256, 256, 1], torch.nn.ReLU) for _ in range(2)]
    v = perceptron(torch, [11, 256, 256, 1], torch.nn.ReLU)
    q_parameters = [p for net in q for p in net.parameters()]
    target_parameters = [p for net in target for p in net.parameters()]
    q_optimizer = torch.optim.Adam(q_parameters, lr=3e-4, fused=True)
    v_optimizer = torch.optim.Adam(v.parameters(), lr=3e-4, fused=True)
    s, a, n, r = (torch.randn(256, w) for w in (11, 3, 11, 1))

    @compiled
    def losses():
        joined = torch.cat([s, a], 1)
        with torch.no_grad():
            lowest = torch.minimum(target[0](joined), target[1](joined))
            backup = r + 0.99 * v(n)
        error = lowest - v(s)
        v_loss = (torch.abs(0.7 - (error < 0).float()) * error**2).mean()
        q_loss = sum(((net(joined) - backup) ** 2).mean() for net in q)
        return v_loss, q_loss

    def step():
        v_optimizer.zero_grad(set_to_none=True)
        q_optimizer.zero_grad(set_to_none=True)
        v_loss, q_loss = losses()
        (v_loss + q_loss).backward()
        v_optimizer.step()
        q_optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(target_parameters, q_parameters, 0.005)

    return step


def case(torch, name, compiled, threads):
    own = {
        "prior_256": paths.prior,
        "rtb_64x20": paths.stored,
        "rtb_update": paths.update,
        "rtb_public": paths.public,
    }
    if name in own:
        return own[name](torch, perceptron, compiled)
    if name.startswith("evaluation"):
        return paths.evaluation(torch, perceptron, compiled, threads)
    silu, mish, gelu = torch.nn.SiLU, torch.nn.Mish, torch.nn.GELU
    if name.startswith("train_"):
        return training(torch, int(name[6:]), silu, False, compiled)
    if name == "mish":
        return training(torch, 256, mish, False, compiled)
    if name == "norm_gelu":
        return training(torch, 256, gelu, True, compiled)
    if name.startswith("infer_"):
        return inference(torch, int(name[6:]), compiled)
    return denoising(torch, compiled) if name == "rollout_64x20" else implicit_q(torch, compiled)


def serve(mode, threads):
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    compiled = torch.compile if mode == "compile" else (lambda f: f)
    cases = {}
    for line in sys.stdin:
        name, repetitions = line.split()
        if name not in cases:
            cases[name] = case(torch, name, compiled, threads)
            for _ in range(5):
                cases[name]()
        times = []
        # As in `benches/serve.rs`: what others did in between is not measured.
        cases[name]()
        for _ in range(int(repetitions)):
            start = time.perf_counter()
            cases[name]()
            times.append(1e3 * (time.perf_counter() - start))
        print(" ".join(f"{t:.6f}" for t in times), flush=True)


class Contender:
    def __init__(self, command, **environment):
        pipe = subprocess.PIPE
        environment = {**os.environ, **environment}
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)

    def measure(self, name, repetitions):
        self.process.stdin.write(f"{name} {repetitions}\n")
        self.process.stdin.flush()
        return [float(t) for t in self.process.stdout.readline().split()]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def sgemm_peak(threads):
    """GF/s of PyTorch's product of two 1024² matrices, best of several."""
    code = (
        "import torch,time;torch.set_num_threads(%d);a=torch.randn(1024,1024);b=1e9\n"
        "for _ in range(30):\n t=time.perf_counter();a@a;b=min(b,time.perf_counter()-t)\n"
        "print(2*1024**3/b/1e9)" % threads
    )
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def compare(binary, threads, rounds, only):
    own = [sys.executable, __file__, "--threads", str(threads), "--serve"]
    ours = [binary, "--serve", "--threads", str(threads)]
    contenders = {
        "tiltrl": Contender(ours),
        # The same without the CPU's matrix unit, where it has one.
        "f32": Contender(ours, TILTRL_ARITHMETIC="f32"),
        "eager": Contender([*own, "eager"]),
        "compile": Contender([*own, "compile"]),
    }
    peak = sgemm_peak(threads)
    print(f"\n{threads} thread(s), milliseconds, medians; sgemm peak {peak:.0f} GF/s")
    print(
        f"| {'loop':<16} | TiltRL | in f32 | eager | compile | ratio to the faster | in f32 | goal | share of the peak |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    rows = []
    for name, (repetitions, passes) in SHAPES.items():
        if only not in name:
            continue
        times = {who: [] for who in contenders}
        for _ in range(rounds):
            for who, contender in contenders.items():
                times[who] += contender.measure(name, repetitions)
        median = {who: statistics.median(t) for who, t in times.items()}
        ratio, ratio_f32 = (median[who] / min(median["eager"], median["compile"]) for who in ("tiltrl", "f32"))
        flops = OTHER_FLOPS.get(name) or passes * NET_FLOPS
        share = flops / (median["tiltrl"] * 1e6) / peak
        goal = GOALS.get(name, "")
        print(
            f"| {name:<16} | {median['tiltrl']:.4f} | {median['f32']:.4f} | {median['eager']:.4f} "
            f"| {median['compile']:.4f} | {ratio:.2f} | {ratio_f32:.2f} | {goal} | {share:.0%} |",
            flush=True,
        )
        rows.append({"name": name, "threads": threads, "ratio": ratio, "ratio_f32": ratio_f32, "share": share, **median})
    for contender in contenders.values():
        contender.close()
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="")
    parser.add_argument("--json")
    parser.add_argument("--serve", choices=["eager", "compile"])
    options = parser.parse_args()
    if options.serve:
        return serve(options.serve, int(options.threads))
    rows = []
    for threads in options.threads.split(","):
        rows += compare(options.binary, int(threads), options.rounds, options.only)
    if options.json:
        with open(options.json, "w") as file:
            json.dump(rows, file, indent=1)


if __name__ == "__main__":
    main()
