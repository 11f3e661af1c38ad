"""How exact can Gaussian steps be? ESS/N of the best ones on a planar world of `tiltrl verify`, without any training.

    python3 docs/decisions/0011-floor.py grid 40 80        # worlds: grid, moons, rings; needs numpy

h_k(x) = E[r(x_T) | x_k = x] by backward recursion on a square grid (every step of these priors is a product of two lines), then
paths whose steps are Gaussians with the mean and the diagonal variance of p(x' | x) h_{k+1}(x').
"""

import sys

import numpy as np

POINTS, REACH, PATHS, STD = 360, 4.5, 4000, 0.12
AXIS = np.linspace(-REACH, REACH, POINTS)
CELL = AXIS[1] - AXIS[0]
RNG = np.random.default_rng(0)


def schedule(steps):
    f = lambda t: np.cos((t / steps + 0.008) / 1.008 * np.pi / 2) ** 2
    level = np.cumprod([1.0] + [1 - min(1 - f(t) / f(t - 1), 0.999) for t in range(1, steps + 1)])
    sigma = []
    for k in range(steps):
        now, after = level[steps - k], level[steps - k - 1]
        beta = 1 - now / after
        variance = 0.5 * beta if after == 1 else beta * (1 - after) / (1 - now)
        sigma.append(max(np.sqrt(variance), 1e-2))
    return level, sigma


def log_mixture(x, y, means, weights):
    parts = [
        np.log(w / (2 * np.pi * STD**2)) - 0.5 * ((x - a) ** 2 + (y - b) ** 2) / STD**2
        for (a, b), w in zip(means, weights)
    ]
    return np.logaddexp.reduce(np.array(parts), 0)


def world(name):
    """Ticks and deviation of the prior's axis, centres and weights of the target."""
    if name == "grid":
        ticks = np.arange(-2, 3) * 0.7
        centres = [(ticks[2 * (i // 3)], ticks[2 * (i % 3)]) for i in range(9)]
        return ticks, STD, centres, np.array([4, 1, 2, 1, 3, 1, 2, 1, 4]) / 19
    if name == "moons":
        angles = np.pi * (np.arange(16) + 0.5) / 16
        upper = [(1.3 * (np.cos(a) - 0.5), 1.3 * (np.sin(a) - 0.25)) for a in angles]
        centres = upper + [(-x, -y) for x, y in upper]
    else:
        counts = [(r, int(np.ceil(14 * r))) for r in (0.6, 1.6)]
        turns = [(r, 2 * np.pi * i / n) for r, n in counts for i in range(n)]
        centres = [(r * np.cos(t), r * np.sin(t)) for r, t in turns]
    return np.zeros(1), 1.0, centres, np.full(len(centres), 1 / len(centres))


def means_of(x, level, k, ticks, std):
    steps = len(level) - 1
    now, after = level[steps - k], level[steps - k - 1]
    alpha, variance = now / after, now * std**2 + 1 - now
    logs = -0.5 * (x[..., None] - np.sqrt(now) * ticks) ** 2 / variance
    share = np.exp(logs - logs.max(-1, keepdims=True))
    centre = (share * ticks).sum(-1) / share.sum(-1)
    noise = np.sqrt(1 - now) * (x - np.sqrt(now) * centre) / variance
    clean = (x - np.sqrt(1 - now) * noise) / np.sqrt(now)
    return np.sqrt(after) * (1 - alpha) / (1 - now) * clean + np.sqrt(alpha) * (1 - after) / (1 - now) * x


def between(values, x):
    """Linear interpolation on the grid at rows of x."""
    u = np.clip((x + REACH) / CELL, 0, POINTS - 1.001)
    i, part = u.astype(int), u - u.astype(int)
    (i, j), (a, b) = i.T, part.T
    low = values[i, j] * (1 - b) + values[i, j + 1] * b
    return low * (1 - a) + (values[i + 1, j] * (1 - b) + values[i + 1, j + 1] * b) * a


def floor(name, steps):
    ticks, std, centres, weights = world(name)
    level, sigma = schedule(steps)
    moves = []
    for k in range(steps):
        m = means_of(AXIS, level, k, ticks, std)
        move = np.exp(-0.5 * ((AXIS[None] - m[:, None]) / sigma[k]) ** 2)
        moves.append(move / move.sum(1, keepdims=True))
    end = np.exp(-0.5 * AXIS**2)
    end /= end.sum()
    for move in moves:
        end = end @ move
    spread = std if name == "grid" else np.sqrt((end * AXIS**2).sum())

    def log_reward(x, y):
        axis = lambda v: np.log(
            (np.exp(-0.5 * (v[..., None] - ticks) ** 2 / spread**2)).sum(-1) / len(ticks) + 1e-300
        ) - 0.5 * np.log(2 * np.pi * spread**2)
        return log_mixture(x, y, centres, weights) - axis(x) - axis(y)

    x, y = np.meshgrid(AXIS, AXIS, indexing="ij")
    h = [np.exp(np.clip(log_reward(x, y), -60, 60))]
    for move in reversed(moves):
        h.insert(0, move @ h[0] @ move.T)
    z = np.linspace(-5, 5, 41)
    first, second = (v.ravel() for v in np.meshgrid(z, z, indexing="ij"))
    stencil = np.exp(-0.5 * (first**2 + second**2))
    x, log_weight = RNG.standard_normal((PATHS, 2)), np.zeros(PATHS)
    for k in range(steps):
        m = means_of(x, level, k, ticks, std)
        tilt = np.empty((PATHS, len(first)))
        for i in range(PATHS):
            tilt[i] = between(h[k + 1], m[i] + sigma[k] * np.stack([first, second], 1)) * stencil
        tilt /= tilt.sum(1, keepdims=True)
        mean = np.stack([tilt @ first, tilt @ second], 1)
        variance = np.stack([tilt @ first**2, tilt @ second**2], 1) - mean**2
        noise = RNG.standard_normal((PATHS, 2))
        step = mean + np.sqrt(variance) * noise
        log_weight += (0.5 * noise**2 + 0.5 * np.log(variance) - 0.5 * step**2).sum(1)
        x = m + sigma[k] * step
    w = np.exp(log_weight + log_reward(*x.T) - (log_weight + log_reward(*x.T)).max())
    print(f"{name}, T = {steps}: best ESS/N {w.sum() ** 2 / (w**2).sum() / PATHS:.3f}")


for number in sys.argv[2:]:
    floor(sys.argv[1], int(number))
