// The rules of a locomotion task: start, observation, reward, end (locomotion/task.rs, locomotion/rules.rs).
// The way along x stands apart, in f64: in f32 it would swallow a step's digits.

DEVICE void store_state(Environments all, const State *state, int env, int count) {
  UNROLLED for (int k = 1; k < DOFS; k++) all.numbers[(k - 1) * count + env] = state->position[k];
  UNROLLED for (int k = 0; k < DOFS; k++) all.numbers[(DOFS - 1 + k) * count + env] = state->velocity[k];
  UNROLLED for (int k = 0; k < DOFS; k++) all.numbers[(2 * DOFS - 1 + k) * count + env] = state->guess[k];
}

DEVICE void load_state(Environments all, State *state, int env, int count) {
  // In f32 the way starts from zero.
  state->position[0] = sizeof(real) == 8 ? (real)all.way[env] : (real)0;
  UNROLLED for (int k = 1; k < DOFS; k++) state->position[k] = all.numbers[(k - 1) * count + env];
  UNROLLED for (int k = 0; k < DOFS; k++) state->velocity[k] = all.numbers[(DOFS - 1 + k) * count + env];
  UNROLLED for (int k = 0; k < DOFS; k++) state->guess[k] = all.numbers[(2 * DOFS - 1 + k) * count + env];
}

DEVICE void observe(const State *state, GLOBAL float *observations, int env, int count) {
  UNROLLED for (int k = 1; k < DOFS; k++) observations[(k - 1) * count + env] = (float)state->position[k];
  UNROLLED for (int k = 0; k < DOFS; k++) {
#if VELOCITY_CLIPPED
    const double velocity = clamped(state->velocity[k], -VELOCITY_CLIP, VELOCITY_CLIP);
#else
    const double velocity = state->velocity[k];
#endif
    observations[(DOFS - 1 + k) * count + env] = (float)velocity;
  }
}

// Begins the next episode in an environment whose last one has ended; the seed moves on by `stride`.
DEVICE void begin_environment(Environments all, GLOBAL float *observations, u64 stride, int env, int count) {
  if (all.status[env] == RUNNING) return;
  State state;
  Stream stream;
  open_stream(&stream, all.seeds[env]);
  UNROLLED for (int k = 0; k < DOFS; k++) {
    const double position = joint_reference(k) + uniform_number(&stream, -START_NOISE, START_NOISE);
    if (k == 0) all.way[env] = position;
    state.position[k] = (real)position;
  }
  UNROLLED for (int k = 0; k < DOFS; k++) {
#if START_NORMAL
    state.velocity[k] = (real)(START_NOISE * normal_number(&stream));
#else
    state.velocity[k] = (real)uniform_number(&stream, -START_NOISE, START_NOISE);
#endif
    state.guess[k] = 0;
  }
  store_state(all, &state, env, count);
  observe(&state, observations, env, count);
  settle_start(all, stride, env);
}

// Whether a state keeps the episode alive. A NaN does not.
DEVICE int is_healthy(const State *state) {
#if HEALTH
  int healthy = HEALTH_LOW < state->position[1] && state->position[1] < HEALTH_HIGH;
  healthy = healthy && -HEALTH_ANGLE < state->position[2] && state->position[2] < HEALTH_ANGLE;
#if HEALTH_BOUNDED
  UNROLLED for (int k = 2; k < DOFS; k++)
    healthy = healthy && -HEALTH_BOUND < state->position[k] && state->position[k] < HEALTH_BOUND;
  UNROLLED for (int k = 0; k < DOFS; k++)
    healthy = healthy && -HEALTH_BOUND < state->velocity[k] && state->velocity[k] < HEALTH_BOUND;
#endif
  return healthy;
#else
  (void)state;
  return 1;
#endif
}

// The motors' force on each joint, N or N·m, and the cost of the action in f32 as Gymnasium has it.
DEVICE float motor_forces(GLOBAL const float *actions, int env, int count, real force[DOFS]) {
  float squares = 0;
  UNROLLED for (int k = 0; k < DOFS; k++) force[k] = 0;
  UNROLLED for (int m = 0; m < MOTORS; m++) {
    const float control = actions[m * count + env];
    squares += control * control;
    force[motor_dof(m)] = (real)(motor_gear(m) * clamped(control, -control_limit(m), control_limit(m)));
  }
  return (float)CONTROL_COST * squares;
}

// Moves an environment one step under its column of `actions`. One whose episode has ended stands still and earns nothing.
DEVICE void advance_environment(Environments all, GLOBAL const float *actions, GLOBAL float *observations,
                                GLOBAL double *rewards, int rule, int env, int count) {
  rewards[env] = 0;
  if (all.status[env] != RUNNING) return;
  State state;
  real force[DOFS];
  const double cost = motor_forces(actions, env, count, force);
  load_state(all, &state, env, count);
  int steps = FRAME_SKIP;
  OPAQUE(steps);
  ROLLED for (int step = 0; step < steps; step++) simulation_step(&state, force);
  const double way = all.way[env];
  const double moved = sizeof(real) == 8 ? (double)state.position[0] : (double)state.position[0] + way;
  const int healthy = is_healthy(&state);
  const double bonus = HEALTH && (healthy || rule) ? 1.0 : 0.0;
  const double reward = (moved - way) / STEP_DURATION + bonus - cost;
  all.way[env] = moved;
  store_state(all, &state, env, count);
  observe(&state, observations, env, count);
  settle_step(all, rewards, reward, !healthy, env);
}
