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
BALANCE = [f"{name}-v{v}" for name in ("InvertedPendulum", "InvertedDoublePendulum", "Reacher") for v in (4, 5)]
CLASSIC = ["Pendulum-v1", "MountainCarContinuous-v0"]
MAZES = {
    "umaze": ["#####", "#G..#", "###.#", "#...#", "#####"],
    "medium": ["########", "#..##..#", "#..#...#", "##...###", "#..#...#", "#.#..#.#", "#...#.G#", "########"],
}


def state_of(env):
    inner = env.unwrapped
    if hasattr(inner, "data"):
        return inner.data.qpos.copy(), inner.data.qvel.copy()
    position, velocity = (np.array([float(x)]) for x in inner.state)
    return position, velocity


def unit_action(generator, shape, reach):
    """Multiples of 1/64, so that scaling them to the action's box is exact in f32."""
    return (np.round(generator.uniform(-reach, reach, size=shape) * 64) / 64).astype(np.float32)


def write(folder, name, dims, lines):
    header = struct.pack("<5q", *dims, len(lines))
    (folder / f"{name.lower()}.bin").write_bytes(header + b"".join(lines))
    print(name, len(lines), "steps")


def line(fresh, position, velocity, action, observation, reward, terminated):
    numbers = np.concatenate([[float(fresh)], position, velocity, action, observation, [reward, float(terminated)]])
    return numbers.astype("<f8").tobytes()


def record(env_id, num_steps, folder):
    env = gymnasium.make(env_id)
    generator = np.random.default_rng(20)
    env.reset(seed=20)
    high = env.action_space.high
    lines, fresh = [], True
    for _ in range(num_steps):
        position, velocity = state_of(env)
        # A fifth of the actions leave the box: the cost is paid in full, the motor is clamped.
        reach = 1.5 if env_id in LOCOMOTION and generator.uniform() < 0.2 else 1.0
        action = unit_action(generator, high.shape, reach)
        observation, reward, terminated, truncated, _ = env.step(action * high)
        lines.append(line(fresh, position, velocity, action, observation, reward, terminated))
        fresh = terminated or truncated
        if fresh:
            env.reset()
    write(folder, env_id, [len(position), len(velocity), len(high), len(observation)], lines)


def record_folded_hopper(count, folder):
    """Single steps of Hopper from folded poses in which its own links touch (and no two links' axes cross)."""
    env = gymnasium.make("Hopper-v4").unwrapped
    env.reset(seed=20)
    generator = np.random.default_rng(21)
    lines = []
    while len(lines) < count:
        position = generator.uniform([0, 0.6, -3, -2.7, -2.7, -0.8], [0, 1.6, 3, 0, 0, 0.8])
        velocity = generator.normal(size=6)
        env.set_state(position, velocity)
        touching = [c.dist for c in env.data.contact if 0 not in (c.geom1, c.geom2)]
        if not touching or min(touching) < -0.05:
            continue
        action = unit_action(generator, 3, 1.0)
        observation, reward, terminated, _, _ = env.step(action)
        lines.append(line(True, position, velocity, action, observation, reward, terminated))
    write(folder, "hopper-folded", [6, 6, 3, 11], lines)


def maze_model(rows):
    walls = "".join(
        f'<geom type="box" contype="2" conaffinity="1" pos="{row + 1.0} {column + 1.0} 0" size=".5 .5 .2"/>'
        for row, cells in enumerate(rows)
        for column, cell in enumerate(cells)
        if cell == "#"
    )
    return mujoco.MjModel.from_xml_string(f"""
    <mujoco>
      <compiler inertiafromgeom="true" angle="radian"/>
      <option timestep="0.01" gravity="0 0 0" iterations="20" integrator="Euler"/>
      <default>
        <joint damping="1" limited="false"/>
        <geom friction=".5 .1 .1" density="1000" margin="0.002" condim="1" contype="2" conaffinity="1"/>
      </default>
      <worldbody>
        <body name="particle" pos="1.2 1.2 0">
          <geom type="sphere" size="0.1" contype="1"/>
          <joint type="slide" axis="1 0 0"/>
          <joint type="slide" axis="0 1 0"/>
        </body>
        {walls}
      </worldbody>
      <actuator>
        <motor joint="joint0" ctrlrange="-1 1" ctrllimited="true" gear="100"/>
        <motor joint="joint1" ctrlrange="-1 1" ctrllimited="true" gear="100"/>
      </actuator>
    </mujoco>""".replace('type="slide" axis="1 0 0"', 'name="joint0" type="slide" axis="1 0 0"')
        .replace('type="slide" axis="0 1 0"', 'name="joint1" type="slide" axis="0 1 0"'))


def record_maze(name, rows, num_steps, folder):
    """D4RL's MazeEnv.step in its own order: clip the velocity, set the state, simulate one step, sparse reward."""
    model = maze_model(rows)
    data = mujoco.MjData(model)
    generator = np.random.default_rng(20)
    [goal] = [(r, c) for r, cells in enumerate(rows) for c, cell in enumerate(cells) if cell == "G"]
    data.qpos[:] = np.array(goal) + generator.uniform(-0.1, 0.1, size=2)
    lines = []
    for step in range(num_steps):
        if step % 15 == 0:
            action = unit_action(generator, 2, 1.0)
        position, velocity = data.qpos.copy(), data.qvel.copy()
        data.qvel[:] = np.clip(data.qvel, -5, 5)
        mujoco.mj_forward(model, data)
        data.ctrl[:] = action
        mujoco.mj_step(model, data)
        reward = float(np.linalg.norm(data.qpos - goal) <= 0.5)
        observation = np.concatenate([data.qpos, data.qvel])
        lines.append(line(step == 0, position, velocity, action, observation, reward, False))
    write(folder, f"pointmaze-{name}-v1", [2, 2, 2, 4], lines)


def main():
    folder = pathlib.Path(sys.argv[1])
    print("gymnasium", gymnasium.__version__, "mujoco", mujoco.__version__)
    for env_id in LOCOMOTION:
        record(env_id, 100, folder)
    record_folded_hopper(40, folder)
    for env_id in BALANCE:
        record(env_id, 60, folder)
    for env_id in CLASSIC:
        record(env_id, 220, folder)
    for name, rows in MAZES.items():
        record_maze(name, rows, 200, folder)


if __name__ == "__main__":
    main()
