// Walls, start, observation, step and reward of a maze; the solver stands before this (maze_contacts.h says what it works on).

// Whether a cell is a wall; outside the maze everything is. A bit stands for each cell, row by row.
DEVICE int is_wall(int row, int column) {
  if (row < 0 || row >= MAZE_ROWS || column < 0 || column >= MAZE_COLUMNS) return 1;
  const int cell = row * MAZE_COLUMNS + column;
  u32 word = maze_word(0);
  UNROLLED for (int k = 1; k < MAZE_WORDS; k++) if (cell >= 32 * k) word = maze_word(k);
  return (word >> (cell & 31)) & 1u;
}

// The cell of a free place, the goal's last.
DEVICE void free_cell(int place, double at[2]) {
  at[0] = GOAL_X;
  at[1] = GOAL_Y;
  int free = 0;
  ROLLED for (int cell = 0; cell < MAZE_ROWS * MAZE_COLUMNS; cell++) {
    const int row = cell / MAZE_COLUMNS, column = cell % MAZE_COLUMNS;
    if (is_wall(row, column) || (row == GOAL_X && column == GOAL_Y)) continue;
    if (free++ == place) {
      at[0] = row;
      at[1] = column;
    }
  }
}

DEVICE void start(Stream *stream, double numbers[STATE_ROWS]) {
  double cell[2];
  const int place = (int)(unit_number(stream) * FREE_CELLS);
  free_cell(place < FREE_CELLS ? place : FREE_CELLS - 1, cell);
  UNROLLED for (int k = 0; k < 2; k++) numbers[k] = cell[k] + uniform_number(stream, -START_NOISE, START_NOISE);
  UNROLLED for (int k = 0; k < 2; k++) {
    numbers[2 + k] = START_SPEED * normal_number(stream);
    numbers[4 + k] = 0;
  }
}

DEVICE void observation_of(const double numbers[STATE_ROWS], float seen[OBSERVATION]) {
  UNROLLED for (int k = 0; k < OBSERVATION; k++) seen[k] = (float)numbers[k];
}

// Adds the contact with the wall whose centre is `offset` away, if the ball touches it; returns the new count.
DEVICE int touch(double offset_x, double offset_y, double margin, const double velocity[2], int count,
                 Contact contacts[MAX_CONTACTS]) {
  const double apart_x = offset_x - clamped(offset_x, -WALL_HALF_SIZE, WALL_HALF_SIZE);
  const double apart_y = offset_y - clamped(offset_y, -WALL_HALF_SIZE, WALL_HALF_SIZE);
  const double length = sqrt(apart_x * apart_x + apart_y * apart_y);
  double distance, normal_x = 0, normal_y = 0;
  if (length > 0) {
    distance = length - RADIUS;
    normal_x = apart_x / length;
    normal_y = apart_y / length;
  } else {
    // The centre is inside: out by the nearest side.
    const int second = fabs(offset_y) > fabs(offset_x);
    const double offset = second ? offset_y : offset_x;
    normal_x = second ? 0.0 : copysign(1.0, offset);
    normal_y = second ? copysign(1.0, offset) : 0.0;
    distance = fabs(offset) - WALL_HALF_SIZE - RADIUS;
  }
  if (distance >= margin) return count;
  const double depth = distance - margin;
  const double imped = impedance(depth, CONTACT_START, CONTACT_RANGE, CONTACT_INVERSE_WIDTH, CONTACT_MIDPOINT,
                                 CONTACT_LOW_SCALE, CONTACT_HIGH_SCALE);
  const double speed = normal_x * velocity[0] + normal_y * velocity[1];
  const double reference = -CONTACT_DAMPING * speed - imped * depth * CONTACT_STIFFNESS;
  Contact *contact = &contacts[count];
  contact->normal_x = normal_x;
  contact->normal_z = normal_y;
  contact->normal_weight = weight_of(imped, INVERSE_MASS);
  UNROLLED for (int f = 0; f < 3; f++) contact->reference[f] = reference;
  return count + 1;
}

// The walls that the ball could touch: those of its cell and the eight around it.
DEVICE int touch_walls(const double position[2], const double velocity[2], double margin, Contact contacts[MAX_CONTACTS]) {
  const int row = (int)round(position[0] - (WALL_OFFSET)), column = (int)round(position[1] - (WALL_OFFSET));
  int count = 0;
  ROLLED for (int k = 0; k < 9; k++) {
    const int r = row + k / 3 - 1, c = column + k % 3 - 1;
    if (is_wall(r, c))
      count = touch(position[0] - (r + (WALL_OFFSET)), position[1] - (c + (WALL_OFFSET)), margin, velocity, count, contacts);
  }
  return count;
}

// One step of the ball: semi-implicit Euler, the damping taken at the end of the step.
DEVICE void move_ball(double numbers[STATE_ROWS], const double force[2], double margin) {
  Limit limits[DOFS];
  Contact contacts[MAX_CONTACTS];
  const Anchors anchors = {0};
  real mass[DOFS][DOFS], total[DOFS], acceleration[DOFS];
  const int count = touch_walls(numbers, numbers + 2, margin, contacts);
  UNROLLED for (int k = 0; k < 2; k++) {
    mass[k][k] = MASS;
    total[k] = force[k] - DAMPING * numbers[2 + k];
    acceleration[k] = numbers[4 + k];
  }
  mass[1][0] = 0;
  minimise(&anchors, mass, total, limits, contacts, count, acceleration);
  UNROLLED for (int k = 0; k < 2; k++) {
    numbers[4 + k] = acceleration[k];
    numbers[2 + k] += TIMESTEP_SHARE * acceleration[k];
    numbers[k] += TIMESTEP * numbers[2 + k];
  }
}

// The first bit of `rule` is the dense reward, the second adds the margins of ball and wall.
DEVICE double reward_of_step(double numbers[STATE_ROWS], const float actions[ACTIONS], int rule, int *terminated) {
  double force[2];
  UNROLLED for (int k = 0; k < 2; k++) {
    const float control = actions[k] < -1.0f ? -1.0f : actions[k] > 1.0f ? 1.0f : actions[k];
    force[k] = MAX_FORCE * (double)control;
    numbers[2 + k] = clamped(numbers[2 + k], -MAX_SPEED, MAX_SPEED);
  }
  move_ball(numbers, force, (rule & 2) ? MARGIN_SUM : MARGIN_MAX);
  const double distance = hypotenuse(numbers[0] - GOAL_X, numbers[1] - GOAL_Y);
  *terminated = 0;
  if (rule & 1) return exponential(-distance);
  return distance <= GOAL_RADIUS ? 1.0 : 0.0;
}
