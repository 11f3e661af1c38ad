// The classic systems, in the CPU's arithmetic (classic/pendulum.rs, cart_pole.rs, mountain_car.rs): they are so small that
// memory limits them, not f64. Each gives `start`, `observation_of` and `reward_of_step` to systems.h.

#if PENDULUM
// Angle from upright, speed.
DEVICE void start(Stream *stream, double state[STATE_ROWS]) {
  state[0] = uniform_number(stream, -PI, PI);
  state[1] = uniform_number(stream, -START_SPEED, START_SPEED);
}

DEVICE void observation_of(const double state[STATE_ROWS], float seen[OBSERVATION]) {
  double sine, cosine;
  libm_sine_and_cosine(state[0], &sine, &cosine);
  seen[0] = (float)cosine;
  seen[1] = (float)sine;
  seen[2] = (float)state[1];
}

DEVICE double reward_of_step(double state[STATE_ROWS], const float actions[ACTIONS], int rule, int *terminated) {
  (void)rule;
  const float action = actions[0];
  const float torque = (float)clamped(action * (float)MAX_TORQUE, -MAX_TORQUE, MAX_TORQUE);
  // Python's modulo: the result has the divisor's sign.
  double turned = fmod(state[0] + PI, TAU), sine, cosine;
  if (turned < 0) turned += TAU;
  const double from_upright = turned - PI;
  const double effort = (float)EFFORT_COST * (torque * torque);
  const double cost = from_upright * from_upright + SPEED_COST * (state[1] * state[1]) + effort;
  libm_sine_and_cosine(state[0], &sine, &cosine);
  const double acceleration = GRAVITY_SHARE * sine + (double)(3.0f * torque);
  state[1] = clamped(state[1] + acceleration * TIMESTEP, -MAX_SPEED, MAX_SPEED);
  state[0] += state[1] * TIMESTEP;
  *terminated = 0;
  return -cost;
}
#endif

#if CART_POLE
// Cart position, pole angle from upright, and their velocities.
DEVICE void start(Stream *stream, double state[STATE_ROWS]) {
  UNROLLED for (int k = 0; k < 4; k++) state[k] = (k == 1 ? PI : 0.0) + uniform_number(stream, -START_NOISE, START_NOISE);
}

DEVICE void observation_of(const double state[STATE_ROWS], float seen[OBSERVATION]) {
  double sine, cosine;
  libm_sine_and_cosine(state[1], &sine, &cosine);
  seen[0] = (float)state[0];
  seen[1] = (float)cosine;
  seen[2] = (float)sine;
  seen[3] = (float)state[2];
  seen[4] = (float)state[3];
}

DEVICE void derivative(const double state[4], double force, double out[4]) {
  double sine, cosine;
  libm_sine_and_cosine(state[1], &sine, &cosine);
  const double total = CART_MASS + POLE_MASS;
  const double push = (force + POLE_MASS * HALF_LENGTH * state[3] * state[3] * sine) / total;
  const double spin_rate = (GRAVITY * sine - cosine * push) / (HALF_LENGTH * (4.0 / 3.0 - POLE_MASS * cosine * cosine / total));
  out[0] = state[2];
  out[1] = state[3];
  out[2] = push - POLE_MASS * HALF_LENGTH * spin_rate * cosine / total;
  out[3] = spin_rate;
}

DEVICE double reward_of_step(double state[STATE_ROWS], const float actions[ACTIONS], int rule, int *terminated) {
  (void)rule;
  const float action = actions[0];
  const double control = clamped(action, -1.0, 1.0), force = MAX_FORCE * control;
  double moved[4], slope[4], sum[4], sine, cosine;
  UNROLLED for (int k = 0; k < 4; k++) {
    moved[k] = state[k];
    sum[k] = 0;
  }
  int stages = 4;
  OPAQUE(stages);
  ROLLED for (int stage = 0; stage < stages; stage++) {
    derivative(moved, force, slope);
    const double length = stage == 2 ? TIMESTEP : 0.5 * TIMESTEP;
    UNROLLED for (int k = 0; k < 4; k++) {
      sum[k] += stage == 0 || stage == 3 ? slope[k] : 2.0 * slope[k];
      moved[k] = state[k] + length * slope[k];
    }
  }
  UNROLLED for (int k = 0; k < 4; k++) state[k] = state[k] + TIMESTEP * (sum[k] / 6.0);
  libm_sine_and_cosine(state[1], &sine, &cosine);
  *terminated = fabs(state[0]) > TRACK;
  return 0.5 * (1.0 + cosine) - CONTROL_COST * control * control;
}
#endif

#if MOUNTAIN_CAR
// Position, velocity: f32 numbers.
DEVICE void start(Stream *stream, double state[STATE_ROWS]) {
  state[0] = (float)uniform_number(stream, START_LOW, START_HIGH);
  state[1] = 0;
}

DEVICE void observation_of(const double state[STATE_ROWS], float seen[OBSERVATION]) {
  seen[0] = (float)state[0];
  seen[1] = (float)state[1];
}

DEVICE double reward_of_step(double state[STATE_ROWS], const float actions[ACTIONS], int rule, int *terminated) {
  (void)rule;
  const float action = actions[0];
  float position = (float)state[0], velocity = (float)state[1];
  const float low = (float)POSITION_LOW;
  double sine, cosine;
  libm_sine_and_cosine((double)(3.0f * position), &sine, &cosine);
  const float gain = (float)clamped(action, -1.0, 1.0) * (float)POWER - (float)(SLOPE * cosine);
  velocity = (float)clamped(velocity + gain, -(double)(float)MAX_SPEED, (double)(float)MAX_SPEED);
  position = (float)clamped(position + velocity, low, (double)(float)POSITION_HIGH);
  if (position == low && velocity < 0) velocity = 0;
  state[0] = position;
  state[1] = velocity;
  *terminated = position >= (float)GOAL && velocity >= 0;
  const double fuel = FUEL_COST * (double)action * (double)action;
  return (*terminated ? GOAL_REWARD : 0.0) - fuel;
}
#endif
