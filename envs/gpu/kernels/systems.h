// Environments whose whole state is a few numbers: start, step and end of each (classic.h, maze.h, balance.h give the equations).
// The rows of `numbers` are the state; `way` is not used.

DEVICE void observe(const double state[STATE_ROWS], GLOBAL float *observations, int env, int count) {
  float seen[OBSERVATION];
  observation_of(state, seen);
  UNROLLED for (int k = 0; k < OBSERVATION; k++) observations[k * count + env] = seen[k];
}

// Begins the next episode in an environment whose last one has ended; the seed moves on by `stride`.
DEVICE void begin_environment(Environments all, GLOBAL float *observations, u64 stride, int env, int count) {
  if (all.status[env] == RUNNING) return;
  Stream stream;
  double state[STATE_ROWS];
  open_stream(&stream, all.seeds[env]);
  start(&stream, state);
  UNROLLED for (int k = 0; k < STATE_ROWS; k++) all.numbers[k * count + env] = state[k];
  observe(state, observations, env, count);
  settle_start(all, stride, env);
}

// Moves an environment one step under its action. One whose episode has ended stands still and earns nothing.
DEVICE void advance_environment(Environments all, GLOBAL const float *actions, GLOBAL float *observations,
                                GLOBAL double *rewards, int rule, int env, int count) {
  rewards[env] = 0;
  if (all.status[env] != RUNNING) return;
  double state[STATE_ROWS];
  UNROLLED for (int k = 0; k < STATE_ROWS; k++) state[k] = all.numbers[k * count + env];
  float own[ACTIONS];
  UNROLLED for (int k = 0; k < ACTIONS; k++) own[k] = actions[k * count + env];
  int terminated;
  const double reward = reward_of_step(state, own, rule, &terminated);
  UNROLLED for (int k = 0; k < STATE_ROWS; k++) all.numbers[k * count + env] = state[k];
  observe(state, observations, env, count);
  settle_step(all, rewards, reward, terminated, env);
}
