// The balancing tasks and the arm, on the engine (balance/*.rs), as systems of systems.h. The rows: positions, velocities, guess,
// then for the double pendulum the rail's force on each joint, and for the arm the target and the pose of its links.

// Moves the robot one environment step. `pose`: the positions at the last evaluation, which is where MuJoCo's links are then.
DEVICE void move_robot(double numbers[STATE_ROWS], const float actions[ACTIONS], real pose[DOFS], real constraint_force[DOFS]) {
  State state;
  real force[DOFS];
  UNROLLED for (int k = 0; k < DOFS; k++) {
    force[k] = 0;
    state.position[k] = (real)numbers[k];
    state.velocity[k] = (real)numbers[DOFS + k];
    state.guess[k] = (real)numbers[2 * DOFS + k];
  }
  UNROLLED for (int m = 0; m < MOTORS; m++)
    force[motor_dof(m)] = (real)(motor_gear(m) * (clamped(actions[m], -1.0, 1.0) * control_limit(m)));
  int steps = FRAME_SKIP;
  OPAQUE(steps);
  ROLLED for (int step = 0; step < steps; step++) simulation_step(&state, force);
  UNROLLED for (int k = 0; k < DOFS; k++) {
    numbers[k] = state.position[k];
    numbers[DOFS + k] = state.velocity[k];
    numbers[2 * DOFS + k] = state.guess[k];
    pose[k] = state.evaluated[k];
    constraint_force[k] = state.constraint_force[k];
  }
}

// The drawn pose, moved by uniform numbers within ± `noise`, at rest.
DEVICE void draw_pose(Stream *stream, double noise, double numbers[STATE_ROWS]) {
  UNROLLED for (int k = 0; k < STATE_ROWS; k++) numbers[k] = 0;
  UNROLLED for (int k = 0; k < DOFS; k++) numbers[k] = joint_reference(k) + uniform_number(stream, -noise, noise);
}

#if INVERTED_PENDULUM
DEVICE void start(Stream *stream, double numbers[STATE_ROWS]) {
  draw_pose(stream, START_NOISE, numbers);
  UNROLLED for (int k = 0; k < DOFS; k++) numbers[DOFS + k] = uniform_number(stream, -START_NOISE, START_NOISE);
}

DEVICE void observation_of(const double numbers[STATE_ROWS], float seen[OBSERVATION]) {
  UNROLLED for (int k = 0; k < 2 * DOFS; k++) seen[k] = (float)numbers[k];
}

DEVICE double reward_of_step(double numbers[STATE_ROWS], const float actions[ACTIONS], int rule, int *terminated) {
  real pose[DOFS], force[DOFS];
  move_robot(numbers, actions, pose, force);
  int finite = 1;
  // What is not finite is not equal to itself when it is taken from itself.
  UNROLLED for (int k = 0; k < 2 * DOFS; k++) finite = finite && numbers[k] - numbers[k] == 0;
  *terminated = !finite || fabs(numbers[1]) > LEAN;
  return (rule & 1) || !*terminated ? 1.0 : 0.0;
}
#endif

#if DOUBLE_PENDULUM
DEVICE void start(Stream *stream, double numbers[STATE_ROWS]) {
  draw_pose(stream, START_NOISE, numbers);
  UNROLLED for (int k = 0; k < DOFS; k++) numbers[DOFS + k] = START_SPEED * normal_number(stream);
}

DEVICE void observation_of(const double numbers[STATE_ROWS], float seen[OBSERVATION]) {
  seen[0] = (float)numbers[0];
  UNROLLED for (int pole = 0; pole < 2; pole++) {
    double sine, cosine;
    libm_sine_and_cosine(numbers[1 + pole], &sine, &cosine);
    seen[1 + pole] = (float)sine;
    seen[3 + pole] = (float)cosine;
  }
  UNROLLED for (int k = 0; k < 3; k++) seen[5 + k] = (float)clamped(numbers[DOFS + k], -CLIP, CLIP);
  UNROLLED for (int k = 0; k < OBSERVATION - 8; k++) seen[8 + k] = (float)clamped(numbers[3 * DOFS + k], -CLIP, CLIP);
}

DEVICE double reward_of_step(double numbers[STATE_ROWS], const float actions[ACTIONS], int rule, int *terminated) {
  real pose[DOFS], force[DOFS];
  double lower_sine, lower_cosine, upper_sine, upper_cosine;
  move_robot(numbers, actions, pose, force);
  UNROLLED for (int k = 0; k < DOFS; k++) numbers[3 * DOFS + k] = force[k];
  libm_sine_and_cosine(pose[1], &lower_sine, &lower_cosine);
  libm_sine_and_cosine((double)pose[1] + (double)pose[2], &upper_sine, &upper_cosine);
  const double x = pose[0] + POLE * (lower_sine + upper_sine), height = POLE * (lower_cosine + upper_cosine);
  const double lower_rate = numbers[DOFS + 1], upper_rate = numbers[DOFS + 2];
  *terminated = height <= LOWEST;
  const double alive = (rule & 1) || !*terminated ? ALIVE : 0.0;
  const double distance = SIDEWAYS_COST * x * x + (height - HIGHEST) * (height - HIGHEST);
  return alive - distance - (LOWER_COST * lower_rate * lower_rate + UPPER_COST * upper_rate * upper_rate);
}
#endif

#if REACHER
enum { TARGET = 3 * DOFS, POSE = 3 * DOFS + 2 };

DEVICE void start(Stream *stream, double numbers[STATE_ROWS]) {
  draw_pose(stream, START_NOISE, numbers);
  double x, y;
  do {
    x = uniform_number(stream, -DISC, DISC);
    y = uniform_number(stream, -DISC, DISC);
  } while (!(hypotenuse(x, y) < DISC));
  numbers[TARGET] = x;
  numbers[TARGET + 1] = y;
  UNROLLED for (int k = 0; k < DOFS; k++) {
    numbers[DOFS + k] = uniform_number(stream, -START_SPEED, START_SPEED);
    numbers[POSE + k] = numbers[k];
  }
}

// From the target to the fingertip.
DEVICE void gap(const double numbers[STATE_ROWS], double out[2]) {
  double upper_sine, upper_cosine, lower_sine, lower_cosine;
  libm_sine_and_cosine(numbers[POSE], &upper_sine, &upper_cosine);
  libm_sine_and_cosine(numbers[POSE] + numbers[POSE + 1], &lower_sine, &lower_cosine);
  out[0] = UPPER_ARM * upper_cosine + LOWER_ARM * lower_cosine - numbers[TARGET];
  out[1] = UPPER_ARM * upper_sine + LOWER_ARM * lower_sine - numbers[TARGET + 1];
}

DEVICE void observation_of(const double numbers[STATE_ROWS], float seen[OBSERVATION]) {
  double apart[2];
  gap(numbers, apart);
  UNROLLED for (int k = 0; k < 2; k++) {
    double sine, cosine;
    libm_sine_and_cosine(numbers[k], &sine, &cosine);
    seen[k] = (float)cosine;
    seen[2 + k] = (float)sine;
    seen[4 + k] = (float)numbers[TARGET + k];
    seen[6 + k] = (float)numbers[DOFS + k];
    seen[8 + k] = (float)apart[k];
  }
  UNROLLED for (int k = 10; k < OBSERVATION; k++) seen[k] = 0;
}

DEVICE double reward_of_step(double numbers[STATE_ROWS], const float actions[ACTIONS], int rule, int *terminated) {
  (void)rule;
  real pose[DOFS], force[DOFS];
  double apart[2];
#if JUDGED_BEFORE
  gap(numbers, apart);
#endif
  move_robot(numbers, actions, pose, force);
  UNROLLED for (int k = 0; k < DOFS; k++) numbers[POSE + k] = pose[k];
#if !JUDGED_BEFORE
  gap(numbers, apart);
#endif
  float effort = 0;
  UNROLLED for (int m = 0; m < MOTORS; m++) effort += actions[m] * actions[m];
  *terminated = 0;
  return -hypotenuse(apart[0], apart[1]) - (double)effort;
}
#endif
