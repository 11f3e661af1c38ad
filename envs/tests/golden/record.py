"""Records the golden traces of this folder with Gymnasium. See README.md for the exact command.

File: header 5 x i64 (nq, nv, nu, observation_dim, n), then per step, all f64 little-endian:
reset flag, qpos[nq], qvel[nv] (before the step), action[nu], observation[observation_dim] (after), reward, terminated.
"""

import pathlib
import struct
import sys

import gymnasium
import mujoco
import numpy as np

LOCOMOTION = ["HalfCheetah-v4", "Hopper-v4", "Hopper-v5", "Walker2d-v4", "Walker2d-v5"]
CLASSIC = ["Pendulum-v1", "MountainCarContinuous-v0"]


def state_of(env):
    inner = env.unwrapped
    if hasattr(inner, "data"):
        return inner.data.qpos.copy(), inner.data.qvel.copy()
    position, velocity = (np.array([float(x)]) for x in inner.state)
    return position, velocity


def record(env_id, num_steps, folder):
    env = gymnasium.make(env_id)
    generator = np.random.default_rng(20)
    observation, _ = env.reset(seed=20)
    position, velocity = state_of(env)
    high = env.action_space.high
    lines, fresh = [], True
    for _ in range(num_steps):
        position, velocity = state_of(env)
        # A fifth of the actions leave the box: the cost is paid in full, the motor is clamped.
        reach = 1.5 if env_id in LOCOMOTION and generator.uniform() < 0.2 else 1.0
        action = (generator.uniform(-reach, reach, size=high.shape) * high).astype(np.float32)
        observation, reward, terminated, truncated, _ = env.step(action)
        numbers = np.concatenate(
            [[float(fresh)], position, velocity, action, observation, [reward, float(terminated)]]
        )
        lines.append(numbers.astype("<f8").tobytes())
        fresh = terminated or truncated
        if fresh:
            env.reset()
    header = struct.pack("<5q", len(position), len(velocity), len(high), len(observation), num_steps)
    (folder / f"{env_id.lower()}.bin").write_bytes(header + b"".join(lines))
    print(env_id, num_steps, "steps")


def main():
    folder = pathlib.Path(sys.argv[1])
    print("gymnasium", gymnasium.__version__, "mujoco", mujoco.__version__)
    for env_id in LOCOMOTION:
        record(env_id, 150, folder)
    for env_id in CLASSIC:
        record(env_id, 220, folder)


if __name__ == "__main__":
    main()
