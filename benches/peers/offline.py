"""The baselines of `tiltrl run --algorithm` beside independent PyTorch versions, trained on the same file for the same updates.

    python3 -m venv .venv
    .venv/bin/pip install "torch==2.9.0" numpy h5py
    cargo build --release
    .venv/bin/python benches/peers/offline.py --data hopper-medium-replay.hdf5 --preset hopper-medium-replay \\
        --algorithms bc,td3bc,iql --updates 5000 --seeds 1,2,3

The policy of PyTorch leaves as a flat actor file, which `tiltrl evaluate --actor` plays: both sides are scored by one engine, on the
same episodes. A flat actor has two hidden layers, so ReBRAC is compared with two on both sides, not with its authors' three.
"""

import argparse
import copy
import json
import math
import struct
import subprocess
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

BATCH = {"bc": 256, "td3bc": 256, "iql": 256, "rebrac": 1024}
RATE = {"bc": 3e-4, "td3bc": 3e-4, "iql": 3e-4, "rebrac": 1e-3}
DISCOUNT, TARGET_RATE = 0.99, 0.005
POLICY_NOISE, NOISE_CLIP, POLICY_EVERY = 0.2, 0.5, 2


def read(path, scale_rewards, normalize):
    """Transitions of a file in D4RL's layout, on torch; the last row of an episode that the clock ended needs next_observations."""
    with h5py.File(path) as file:
        get = lambda name: np.asarray(file[name])
        observations, actions, rewards = get("observations"), get("actions"), get("rewards")
        terminals, timeouts = get("terminals").astype(bool), get("timeouts").astype(bool)
        stored = get("next_observations") if "next_observations" in file else None
    count = len(rewards)
    ends = terminals | timeouts
    follows = np.zeros(count, bool)
    follows[:-1] = ~ends[:-1]
    following = np.minimum(np.arange(count) + 1, count - 1)
    after = stored if stored is not None else observations[following]
    use = np.ones(count, bool) if stored is not None else follows | terminals
    returns, total = [], 0.0
    for reward, end in zip(rewards, ends):
        total += reward
        if end:
            returns.append(total)
            total = 0.0
    if scale_rewards:
        rewards = rewards * (1000.0 / (max(returns) - min(returns)))
    mean, std = np.zeros(observations.shape[1]), np.ones(observations.shape[1])
    if normalize:
        mean, std = observations.mean(0), np.maximum(observations.std(0), 1e-3)
    tensor = lambda array: torch.tensor(np.asarray(array, np.float32))
    data = {
        "s": tensor((observations - mean) / std)[use],
        "a": tensor(np.clip(actions, -0.999, 0.999))[use],
        "r": tensor(rewards)[use],
        "s2": tensor((after - mean) / std)[use],
        "d": tensor(terminals)[use],
        "a2": tensor(np.clip(actions[following], -0.999, 0.999) * follows[:, None])[use],
        "known": tensor(follows)[use],
    }
    return data, mean, std


def perceptron(inputs, outputs, layer_norm=False, hidden=(256, 256)):
    layers, width = [], inputs
    for size in hidden:
        layers += [nn.Linear(width, size)] + ([nn.LayerNorm(size)] if layer_norm else []) + [nn.ReLU()]
        width = size
    return nn.Sequential(*layers, nn.Linear(width, outputs))


def follow(target, source):
    with torch.no_grad():
        for t, s in zip(target.parameters(), source.parameters()):
            t.lerp_(s, TARGET_RATE)


def bc(data, draw, dims, updates, _):
    policy = perceptron(*dims)
    optimizer = torch.optim.Adam(policy.parameters(), RATE["bc"])
    for _ in range(updates):
        batch = draw()
        loss = F.mse_loss(torch.tanh(policy(batch["s"])), batch["a"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return policy


def td3(data, draw, dims, updates, options):
    """TD3+BC and ReBRAC; options: alpha, actor_bc, critic_bc, lowest, layer_norm, rate."""
    policy = perceptron(*dims)
    critics = nn.ModuleList([perceptron(sum(dims), 1, options["layer_norm"]) for _ in range(2)])
    slow_policy, slow_critics = copy.deepcopy(policy), copy.deepcopy(critics)
    rate = options["rate"]
    of_policy = torch.optim.Adam(policy.parameters(), rate)
    of_critics = torch.optim.Adam(critics.parameters(), rate)
    for update in range(1, updates + 1):
        b = draw()
        with torch.no_grad():
            noise = (torch.randn_like(b["a"]) * POLICY_NOISE).clamp(-NOISE_CLIP, NOISE_CLIP)
            action = (torch.tanh(slow_policy(b["s2"])) + noise).clamp(-1, 1)
            penalty = options["critic_bc"] * b["known"] * ((action - b["a2"]) ** 2).sum(-1)
            pair = torch.cat([b["s2"], action], 1)
            lowest = torch.min(slow_critics[0](pair), slow_critics[1](pair)).squeeze(1)
            target = b["r"] + DISCOUNT * (1 - b["d"]) * (lowest - penalty)
        pair = torch.cat([b["s"], b["a"]], 1)
        loss = sum(F.mse_loss(q(pair).squeeze(1), target) for q in critics)
        of_critics.zero_grad()
        loss.backward()
        of_critics.step()
        if update % POLICY_EVERY:
            continue
        action = torch.tanh(policy(b["s"]))
        pair = torch.cat([b["s"], action], 1)
        value = torch.min(critics[0](pair), critics[1](pair)) if options["lowest"] else critics[0](pair)
        weight = options["alpha"] / value.abs().mean().detach()
        pull = options["actor_bc"] * ((action - b["a"]) ** 2).sum(-1).mean()
        of_policy.zero_grad()
        (pull - weight * value.mean()).backward()
        of_policy.step()
        follow(slow_policy, policy)
        follow(slow_critics, critics)
    return policy


def iql(data, draw, dims, updates, _):
    policy, log_std = perceptron(*dims), nn.Parameter(torch.zeros(dims[1]))
    critics = nn.ModuleList([perceptron(sum(dims), 1) for _ in range(2)])
    value, slow = perceptron(dims[0], 1), copy.deepcopy(critics)
    of_policy = torch.optim.Adam([*policy.parameters(), log_std], RATE["iql"])
    of_rest = torch.optim.Adam([*critics.parameters(), *value.parameters()], RATE["iql"])
    cosine = torch.optim.lr_scheduler.LambdaLR(of_policy, lambda u: 0.5 * (1 + math.cos(math.pi * u / updates)))
    for _ in range(updates):
        b = draw()
        pair = torch.cat([b["s"], b["a"]], 1)
        with torch.no_grad():
            lowest = torch.min(slow[0](pair), slow[1](pair)).squeeze(1)
            target = b["r"] + DISCOUNT * (1 - b["d"]) * value(b["s2"]).squeeze(1)
        advantage = lowest - value(b["s"]).squeeze(1)
        expectile = (torch.where(advantage > 0, 0.7, 0.3) * advantage**2).mean()
        loss = expectile + sum(F.mse_loss(q(pair).squeeze(1), target) for q in critics)
        weight = torch.exp(3.0 * advantage.detach()).clamp(max=100.0)
        normal = torch.distributions.Normal(torch.tanh(policy(b["s"])), log_std.clamp(-20, 2).exp())
        regression = -(weight * normal.log_prob(b["a"]).sum(-1)).mean()
        for optimizer, of in [(of_rest, loss), (of_policy, regression)]:
            optimizer.zero_grad()
            of.backward()
            optimizer.step()
        cosine.step()
        follow(slow, critics)
    return policy


def write_actor(path, policy, mean, std):
    """The layers latent_pi.0, latent_pi.2, mu, log_std: out, in, weights, bias; normalisation goes into the first."""
    first, second, last = [layer for layer in policy if isinstance(layer, nn.Linear)]
    numbers = lambda layer: [p.detach().double().numpy() for p in (layer.weight, layer.bias)]
    weight, bias = numbers(first)
    layers = [(weight / std, bias - (weight / std) @ mean), numbers(second), numbers(last)]
    layers.append([np.zeros_like(layers[-1][0]), np.full_like(layers[-1][1], -20.0)])
    with open(path, "wb") as file:
        for weight, bias in layers:
            file.write(struct.pack("<ii", *weight.shape))
            file.write(np.asarray(weight, "<f4").tobytes() + np.asarray(bias, "<f4").tobytes())


def train(algorithm, args, seed, path):
    torch.manual_seed(seed)
    data, mean, std = read(args.data, algorithm == "iql", algorithm != "rebrac")
    dims, count = (data["s"].shape[1], data["a"].shape[1]), len(data["r"])

    def draw():
        rows = torch.randint(count, (BATCH[algorithm],))
        return {name: values[rows] for name, values in data.items()}

    td3bc = dict(alpha=2.5, actor_bc=1 / dims[1], critic_bc=0.0, lowest=False, layer_norm=False, rate=RATE["td3bc"])
    rebrac = dict(alpha=1.0, actor_bc=args.actor_bc, critic_bc=args.critic_bc, lowest=True, layer_norm=True, rate=RATE["rebrac"])
    trainer = {"bc": bc, "td3bc": td3, "rebrac": td3, "iql": iql}[algorithm]
    start = time.perf_counter()
    policy = trainer(data, draw, dims, args.updates, {"td3bc": td3bc, "rebrac": rebrac}.get(algorithm))
    milliseconds = (time.perf_counter() - start) * 1e3 / args.updates
    write_actor(path, policy, mean, std)
    return milliseconds


def tiltrl(args, *words):
    command = [args.binary, "--quiet", "--threads", str(args.threads), *map(str, words)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def peer(algorithm, args, seed, folder):
    actor, found = folder / f"{algorithm}-{seed}.bin", folder / f"{algorithm}-{seed}.json"
    milliseconds = train(algorithm, args, seed, actor)
    words = ["--env", args.env, "--actor", actor, "--episodes", args.episodes, "--seed", seed, "--json", found]
    tiltrl(args, "evaluate", *words)
    row = json.loads(found.read_text())
    return {"score": row["score"], "return": float(np.mean(row["returns"])), "ms": milliseconds}


def ours(algorithm, args, seed, folder):
    out, own = folder / f"{algorithm}-ours-{seed}", f"baseline.{algorithm}"
    settings = [f"{own}.updates={args.updates}", f"evaluation.episodes={args.episodes}", "evaluation.evaluations_in_training=1"]
    if algorithm == "rebrac":
        settings += [f"{own}.hidden=[256, 256]", f"{own}.actor_bc={args.actor_bc}", f"{own}.critic_bc={args.critic_bc}"]
    flags = [word for entry in settings for word in ("--set", entry)]
    run = ["run", "--preset", args.preset, "--data", args.data, "--algorithm", algorithm, "--seeds", seed, "--out", out]
    tiltrl(args, *run, *flags)
    summary = json.loads((out / "summary.json").read_text())
    line = next(line for line in summary["lines"] if line["policy"] == algorithm)
    milliseconds = summary["seconds"]["policy"] * 1e3 / args.updates
    return {"score": line["score"]["mean"], "return": line["returns"]["mean"], "ms": milliseconds}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--preset", required=True)
    parser.add_argument("--env", default="hopper-v4")
    parser.add_argument("--algorithms", default="bc,td3bc,iql")
    parser.add_argument("--updates", type=int, default=5000)
    parser.add_argument("--seeds", default="1")
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--actor-bc", type=float, default=0.05, help="of ReBRAC, on both sides")
    parser.add_argument("--critic-bc", type=float, default=0.5, help="of ReBRAC, on both sides")
    parser.add_argument("--binary", default="target/release/tiltrl")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for algorithm in args.algorithms.split(","):
            for seed in map(int, args.seeds.split(",")):
                sides = {"torch": peer(algorithm, args, seed, Path(folder)), "tiltrl": ours(algorithm, args, seed, Path(folder))}
                rows.append({"algorithm": algorithm, "seed": seed, "updates": args.updates, **sides})
                text = ", ".join(f"{name} {v['score']:.1f} ({v['return']:.0f}; {v['ms']:.2f} ms/update)" for name, v in sides.items())
                print(f"{algorithm}, seed {seed}, {args.updates} updates: {text}", flush=True)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
