"""Environment steps per second of gymnasium, envpool and mujoco.rollout, to stand beside `cargo bench -p tiltrl-envs`.

    python3 -m venv .venv
    .venv/bin/pip install "gymnasium[mujoco]==1.4.0" "envpool==1.2.5" "mujoco==4.0.0"
    .venv/bin/python benches/peers/envs.py --json peers.json

Uniform random actions; an episode begins anew when it terminates or reaches its horizon. Each rate is the best of several
rounds, as in the Rust benchmark. `--threads 1` and `--threads 2` are the peers' columns of docs/throughput.md.
"""

import argparse
import json
import time

import numpy as np

LOCOMOTION = ["HalfCheetah", "Hopper", "Walker2d"]
ROUNDS, ROUND_SECONDS = 5, 0.5


def best_rate(step, count):
    """Best steps per second of several rounds of `step`, which makes `count` environment steps."""
    step()
    best = 0.0
    for _ in range(ROUNDS):
        start, done = time.perf_counter(), 0
        while time.perf_counter() - start < ROUND_SECONDS:
            step()
            done += count
        best = max(best, done / (time.perf_counter() - start))
    return best


def gymnasium_single(env_id):
    import gymnasium

    env = gymnasium.make(env_id)
    env.reset(seed=0)
    generator = np.random.default_rng(0)
    low, high = env.action_space.low, env.action_space.high

    def step():
        for _ in range(50):
            action = generator.uniform(low, high).astype(np.float32)
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()

    return best_rate(step, 50)


def gymnasium_vector(env_id, num_envs, kind):
    import gymnasium

    envs = gymnasium.make_vec(env_id, num_envs=num_envs, vectorization_mode=kind)
    envs.reset(seed=0)
    generator = np.random.default_rng(0)
    low, high = envs.action_space.low, envs.action_space.high
    rate = best_rate(lambda: envs.step(generator.uniform(low, high).astype(np.float32)), num_envs)
    envs.close()
    return rate


def envpool_rate(env_id, num_envs, threads):
    import envpool

    envs = envpool.make(env_id, env_type="gymnasium", num_envs=num_envs, num_threads=threads)
    envs.reset()
    generator = np.random.default_rng(0)
    space = envs.action_space
    shape = (num_envs, *space.shape)
    dtype = space.dtype
    return best_rate(lambda: envs.step(generator.uniform(space.low, space.high, shape).astype(dtype)), num_envs)


def rollout_rate(name, num_envs, threads):
    """`mujoco.rollout` of 50 environment steps at a time from random starts: no observation, reward or reset."""
    import gymnasium
    import mujoco
    from mujoco import rollout

    env = gymnasium.make(f"{name}-v5").unwrapped
    model, skip = env.model, env.frame_skip
    generator = np.random.default_rng(0)
    datas = [mujoco.MjData(model) for _ in range(threads)]
    size = mujoco.mj_stateSize(model, mujoco.mjtState.mjSTATE_FULLPHYSICS)
    state = np.zeros((num_envs, size))
    mujoco.mj_getState(model, datas[0], state[0], mujoco.mjtState.mjSTATE_FULLPHYSICS)
    state[:] = state[0]
    state[:, 1:] += generator.uniform(-5e-3, 5e-3, (num_envs, size - 1))

    def step():
        control = generator.uniform(-1, 1, (num_envs, 50, model.nu)).repeat(skip, axis=1)
        rollout.rollout(model, datas, state, control)

    return best_rate(step, 50 * num_envs)


def attempt(function, *arguments):
    """The rate, or None with the reason printed, so that one missing peer does not hide the others."""
    try:
        return function(*arguments)
    except Exception as error:  # noqa: BLE001
        print(f"  skipped {function.__name__}{arguments}: {type(error).__name__}: {error}")
        return None


def measure(threads, num_envs):
    rates = {}
    for name in LOCOMOTION:
        rates[name] = {
            "gymnasium": attempt(gymnasium_single, f"{name}-v5"),
            "envpool, one env": attempt(envpool_rate, f"{name}-v4", 1, 1),
            f"envpool, {num_envs} envs": attempt(envpool_rate, f"{name}-v4", num_envs, threads),
            f"mujoco.rollout, {num_envs} envs": attempt(rollout_rate, name, num_envs, threads),
        }
    rates["Pendulum"] = {
        "gymnasium": attempt(gymnasium_single, "Pendulum-v1"),
        "gymnasium SyncVectorEnv, 1024 envs": attempt(gymnasium_vector, "Pendulum-v1", 1024, "sync"),
        "envpool, 1024 envs": attempt(envpool_rate, "Pendulum-v1", 1024, threads),
    }
    return rates


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--envs", type=int, default=64)
    parser.add_argument("--json")
    arguments = parser.parse_args()
    rates = measure(arguments.threads, arguments.envs)
    for name, peers in rates.items():
        for peer, rate in peers.items():
            print(f"{name:<12} {peer:<36} {'-' if rate is None else f'{rate:,.0f}'}")
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump({"threads": arguments.threads, "rates": rates}, file, indent=2)


if __name__ == "__main__":
    main()
