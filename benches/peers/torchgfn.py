"""TiltRL beside torchgfn on torchgfn's own diffusion example: 25 equal Gaussians → 9 weighted ones, by relative trajectory balance.

World, network, optimizer and lengths are the defaults of `tutorials/examples/train_diffusion_rtb.py` at torchgfn's commit
f685b86e6d5680fe5b51f711ceb1e02409162930, on the API of the package 2.4.1. Both sides are measured by the energy distance
of their samples to exact samples of the posterior, computed here. Run it through `benches/peers/torchgfn`.

torchgfn learns its prior from samples first; ours is exact. That pretraining is not counted for either side.
"""

import argparse
import json
import os
import pathlib
import subprocess
import tempfile
import time

import numpy as np

PEER_PRETRAIN, PEER_UPDATES = 10000, 5000
SPACING, STD = 5.0, 0.3**0.5
CENTRES = np.array([[-10, -5], [-5, -10], [-5, 0], [10, -5], [0, 0], [0, 5], [5, -5], [5, 0], [5, 10]], dtype=float)
WEIGHTS = np.array([4, 10, 4, 5, 10, 5, 4, 15, 4], dtype=float)
WEIGHTS /= WEIGHTS.sum()


def exact(count, rng):
    return CENTRES[rng.choice(9, count, p=WEIGHTS)] + STD * rng.standard_normal((count, 2))


def energy(x, y):
    """2 E|X − Y| − E|X − X'| − E|Y − Y'| as a V-statistic."""
    mean = lambda a, b: np.sqrt(((a[:, None] - b[None]) ** 2).sum(-1)).mean()
    return 2 * mean(x, y) - mean(x, x) - mean(y, y)


def judged(samples, references):
    """Mean energy distance to several sets of exact samples, and the largest relative error of a mode's mass."""
    nearest = ((samples[:, None] - CENTRES[None]) ** 2).sum(-1).argmin(1)
    shares = np.bincount(nearest, minlength=9) / len(samples)
    modes = abs(shares / WEIGHTS - 1).max()
    return float(np.mean([energy(samples, r) for r in references])), float(modes)


class Peer:
    """torchgfn's example on its own API."""

    def __init__(self, args):
        import torch
        from gfn.gflownet import RelativeTrajectoryBalanceGFlowNet
        from gfn.gym.diffusion_sampling import DiffusionSampling
        from gfn.samplers import Sampler

        torch.set_num_threads(args.threads)
        torch.manual_seed(args.seed)
        self.torch, self.args = torch, args
        world = lambda name: DiffusionSampling(
            target_str=name, target_kwargs=None, num_discretization_steps=args.steps, device=torch.device("cpu"), debug=False
        )
        self.env, self.data = world("gmm25_posterior9"), world("gmm25_prior")
        self.prior = self.forward()
        self.pretrained = self.pretrain(args.pretrain)
        policy = self.forward()
        policy.load_state_dict(self.prior.state_dict())
        self.prior.eval().requires_grad_(False)
        self.net = RelativeTrajectoryBalanceGFlowNet(pf=policy, prior_pf=self.prior, init_logZ=0.0, beta=1.0)
        self.sampler = Sampler(estimator=policy)
        groups = [{"params": self.net.pf.parameters(), "lr": 1e-3}, {"params": self.net.logz_parameters(), "lr": 1e-1}]
        self.optimizer = torch.optim.Adam(groups)
        self.done, self.seconds = 0, 0.0

    def forward(self):
        from gfn.estimators import PinnedBrownianMotionForward
        from gfn.utils.modules import DiffusionPISGradNetForward

        module = DiffusionPISGradNetForward(
            s_dim=2, harmonics_dim=64, t_emb_dim=64, s_emb_dim=64, hidden_dim=64, joint_layers=2, zero_init=True,
            clipping=False, gfn_clip=1e4, t_scale=5.0, log_var_range=4.0, learn_variance=False,
        )
        return PinnedBrownianMotionForward(
            s_dim=2, pf_module=module, sigma=2.0, num_discretization_steps=self.args.steps, n_variance_outputs=0
        )

    def pretrain(self, count):
        """Fits the prior to samples of the 25 modes; returns its seconds."""
        from gfn.gflownet.mle import MLEDiffusion

        cache = self.args.prior_cache and pathlib.Path(self.args.prior_cache)
        if cache and cache.exists():
            stored = self.torch.load(cache)
            if stored["count"] != count or stored["steps"] != self.args.steps:
                raise SystemExit(f"{cache}: holds a prior of {stored['count']} updates and {stored['steps']} steps; name another --prior-cache")
            self.prior.load_state_dict(stored["prior"])
            return stored["seconds"]
        trainer = MLEDiffusion(pf=self.prior, num_steps=self.args.steps, sigma=2.0, t_scale=5.0, pb_scale_range=0.0)
        optimizer = self.torch.optim.Adam(self.prior.parameters(), lr=1e-3)
        start = time.perf_counter()
        for update in range(count):
            optimizer.zero_grad()
            trainer.loss(self.data, self.data.target.sample(500), exploration_std=0.0).backward()
            optimizer.step()
            if (update + 1) % 500 == 0:
                print(f"torchgfn prior: {update + 1}/{count} updates, {time.perf_counter() - start:.0f} s", flush=True)
        seconds = time.perf_counter() - start
        if cache:
            self.torch.save({"prior": self.prior.state_dict(), "count": count, "steps": self.args.steps, "seconds": seconds}, cache)
        return seconds

    def noise(self):
        """Extra standard deviation: 0.5 at first, from update 500 on falling linearly to 0 at 4,500."""
        left = 1.0 if self.done < 500 else max(0.0, 1.0 - self.done / 4500)
        return self.torch.tensor(0.5 * left)

    def train(self, count):
        start = time.perf_counter()
        for _ in range(count):
            paths = self.sampler.sample_trajectories(
                self.env, n=500, save_logprobs=False, save_estimator_outputs=False, exploration_std=self.noise()
            )
            self.optimizer.zero_grad()
            self.net.loss(self.env, paths, recalculate_all_logprobs=True).backward()
            self.optimizer.step()
            self.done += 1
        self.seconds += time.perf_counter() - start

    def samples(self, count):
        with self.torch.no_grad():
            return self.net.sample_terminating_states(self.env, n=count).tensor[:, :-1].double().numpy()


def ours(args, folder):
    """Trains in this repository's binary; returns training seconds and samples in torchgfn's units."""
    out = pathlib.Path(folder) / "samples.csv"
    numbers = lambda values: ",".join(repr(float(v)) for v in np.ravel(values))
    command = [
        args.binary, "--threads", str(args.threads), "--seed", str(args.seed), "--updates", str(args.ours_updates),
        "--spacing", repr(SPACING), "--std", repr(STD), "--centres", numbers(CENTRES), "--weights", numbers(WEIGHTS),
        "--samples", str(args.samples), "--out", str(out),
    ]
    answer = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return answer, np.loadtxt(out, delimiter=",")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True, help="the bench binary `grid`")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=100, help="torchgfn's diffusion steps")
    parser.add_argument("--pretrain", type=int, default=PEER_PRETRAIN, help="updates of torchgfn's prior")
    parser.add_argument("--updates", type=int, default=PEER_UPDATES, help="torchgfn's RTB updates")
    parser.add_argument("--every", type=int, default=500, help="updates between measurements of torchgfn")
    parser.add_argument("--ours-updates", type=int, default=2500)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--prior-cache", help="file that keeps torchgfn's pretrained prior")
    parser.add_argument("--json", help="also write the numbers here")
    args = parser.parse_args()
    if args.json and pathlib.Path(args.json).exists():
        raise SystemExit(f"{args.json}: exists already; name another file for --json")
    rng = np.random.default_rng(7)
    references = [exact(args.samples, rng) for _ in range(3)]
    floor = judged(exact(args.samples, rng), references)
    print(f"floor: energy distance {floor[0]:.4f} between exact sets of {args.samples}, largest mode error {floor[1]:.1%}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        answer, samples = ours(args, folder)
    own = {"seconds": answer["training_seconds"], "updates": args.ours_updates, "inside": answer}
    own["energy"], own["modes"] = judged(samples, references)
    print(f"TiltRL   {own['updates']:>6} updates {own['seconds']:>8.1f} s  energy {own['energy']:.4f}  modes {own['modes']:.1%}", flush=True)
    peer = Peer(args)
    curve = []
    while peer.done < args.updates:
        peer.train(min(args.every, args.updates - peer.done))
        found, modes = judged(peer.samples(args.samples), references)
        curve.append({"updates": peer.done, "seconds": peer.seconds, "energy": found, "modes": modes})
        print(f"torchgfn {peer.done:>6} updates {peer.seconds:>8.1f} s  energy {found:.4f}  modes {modes:.1%}", flush=True)
    end = curve[-1]
    reached = next((p for p in curve if p["energy"] <= own["energy"]), None)
    better = own["energy"] <= end["energy"]
    print(f"torchgfn's prior took {peer.pretrained:.0f} s more, not counted; ours is exact")
    if args.updates < PEER_UPDATES or args.pretrain < PEER_PRETRAIN:
        whole = PEER_UPDATES * end["seconds"] / end["updates"]
        print(
            f"SHORTENED: torchgfn was not run to its own end. At the rate measured its {PEER_UPDATES} updates take {whole:.0f} s "
            f"(its prior {PEER_PRETRAIN * peer.pretrained / args.pretrain:.0f} s more): TiltRL's {own['seconds']:.0f} s are {own['seconds'] / whole:.3f} of "
            f"that (goal ≤ 0.333), at {own['energy']:.4f} where exact samples have {floor[0]:.4f}"
        )
    else:
        print(
            f"ratio of times, TiltRL's over torchgfn's at its end: {own['seconds'] / end['seconds']:.3f} (goal ≤ 0.333), "
            f"energy {own['energy']:.4f} against {end['energy']:.4f}: {'the same or better' if better else 'WORSE'}"
        )
    if reached:
        print(f"torchgfn first measured at our energy or below after {reached['seconds']:.0f} s: ratio {own['seconds'] / reached['seconds']:.3f}")
    else:
        print("torchgfn never reached our energy distance")
    if args.json:
        result = {"floor": floor, "tiltrl": own, "torchgfn": curve, "pretraining_seconds": peer.pretrained, "arguments": vars(args)}
        pathlib.Path(args.json).write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
