"""Serves one Gymnasium environment over stdin and stdout. Little-endian.

Start: a line of text "observation_dim action_dim horizon timestep", then low and high of the action, f64 each.
Command r + u64 seed -> f32 observation. Command s + f32 action -> f64 reward, u8 terminated, f32 observation.
"""

import struct
import sys

inp, out = sys.stdin.buffer, sys.stdout.buffer
sys.stdout = sys.stderr  # what an environment prints must not enter the protocol

try:
    import gymnasium
    import numpy as np

    env = gymnasium.make(sys.argv[1])
    action_space, observation_space = env.action_space, env.observation_space
    for space in (action_space, observation_space):
        if not isinstance(space, gymnasium.spaces.Box):
            raise TypeError(f"only Box spaces are supported, not {space}")
    low, high = (np.asarray(x, "<f8").ravel() for x in (action_space.low, action_space.high))
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        raise ValueError("the action space must be bounded")
    horizon = env.spec.max_episode_steps or 1000
    timestep = float(getattr(env.unwrapped, "dt", 1.0))
except Exception as error:
    out.write(f"error {type(error).__name__}: {error}".replace("\n", " ").encode() + b"\n")
    out.flush()
    sys.exit(1)

num_observations = int(np.prod(observation_space.shape))
out.write(f"{num_observations} {len(low)} {horizon} {timestep}\n".encode() + low.tobytes() + high.tobytes())
out.flush()

while command := inp.read(1):
    if command == b"r":
        [seed] = struct.unpack("<Q", inp.read(8))
        observation, _ = env.reset(seed=seed)
    else:
        action = np.frombuffer(inp.read(4 * len(low)), "<f4").reshape(action_space.shape)
        observation, reward, terminated, _, _ = env.step(action.astype(action_space.dtype))
        out.write(struct.pack("<dB", reward, bool(terminated)))
    out.write(np.asarray(observation, "<f4").tobytes())
    out.flush()
