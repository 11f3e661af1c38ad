// One simulation step (planar/engine.rs).

// The robot between steps. The guess, the last solved acceleration, is part of it: with another one the last digits differ.
typedef struct {
  real position[DOFS], velocity[DOFS], guess[DOFS];
#if OUTCOME
  real evaluated[DOFS], constraint_force[DOFS];  // at the last evaluation: positions, force of limits and contacts
#endif
} State;

// Forward dynamics: replaces `acceleration`, the guess, by the acceleration at a position and velocity, and writes the mass
// matrix. Where the rules ask for it, `outcome` gets what there is to know of this evaluation.
DEVICE void evaluate(const real position[DOFS], const real velocity[DOFS], const real motor_force[DOFS], real mass[DOFS][DOFS],
                     real acceleration[DOFS], State *outcome) {
  Frames frames;
  Anchors anchors;
  Limit limits[DOFS];
  Contact contacts[MAX_CONTACTS];
  real force[DOFS];
  UNROLLED for (int k = 0; k < DOFS; k++) force[k] = motor_force[k];
  place_links(position, velocity, &frames, &anchors);
  mass_and_force(&frames, &anchors, position, velocity, mass, force);
  const int count = find_constraints(&frames, &anchors, position, velocity, limits, contacts);
  COUNT_WORK(0)
  minimise(&anchors, mass, force, limits, contacts, count, acceleration);
#if OUTCOME
  multiply(mass, acceleration, outcome->constraint_force);
  UNROLLED for (int k = 0; k < DOFS; k++) {
    outcome->constraint_force[k] -= force[k];
    outcome->evaluated[k] = position[k];
  }
#else
  (void)outcome;
#endif
}

#if RUNGE_KUTTA
// The classical fourth-order rule: a stage starts from the state that begins the step, moved by the previous stage's
// velocity and acceleration. The loop stays a loop: four copies of the engine would not fit the instruction cache.
DEVICE void simulation_step(State *state, const real motor_force[DOFS]) {
  real position[DOFS], velocity[DOFS], mean_velocity[DOFS], mean_acceleration[DOFS];
  UNROLLED for (int k = 0; k < DOFS; k++) {
    position[k] = state->position[k];
    velocity[k] = state->velocity[k];
    mean_velocity[k] = mean_acceleration[k] = 0;
  }
  int stages = 4;
  OPAQUE(stages);
  ROLLED for (int stage = 0; stage < stages; stage++) {
    real mass[DOFS][DOFS];
    const real length = stage == 3 ? (real)TIMESTEP : (real)(TIMESTEP * 0.5);
    const real share = stage == 0 || stage == 3 ? (real)(1.0 / 6.0) : (real)(1.0 / 3.0);
    if (stage > 0)
      UNROLLED for (int k = 0; k < DOFS; k++) {
        position[k] = state->position[k] + velocity[k] * length;
        velocity[k] = state->velocity[k] + state->guess[k] * length;
      }
    evaluate(position, velocity, motor_force, mass, state->guess, state);
    UNROLLED for (int k = 0; k < DOFS; k++) {
      mean_velocity[k] += velocity[k] * share;
      mean_acceleration[k] += state->guess[k] * share;
    }
  }
  UNROLLED for (int k = 0; k < DOFS; k++) {
    state->position[k] += mean_velocity[k] * (real)TIMESTEP;
    state->velocity[k] += mean_acceleration[k] * (real)TIMESTEP;
  }
}
#else
// Semi-implicit Euler; the joints' damping B is taken at the end of the step: a becomes (M + h·B)⁻¹·M·a.
DEVICE void simulation_step(State *state, const real motor_force[DOFS]) {
  real mass[DOFS][DOFS], acceleration[DOFS];
  evaluate(state->position, state->velocity, motor_force, mass, state->guess, state);
#if DAMPED
  multiply(mass, state->guess, acceleration);
  UNROLLED for (int k = 0; k < DOFS; k++) if (damping(k) != 0) mass[k][k] += damping_step(k);
  factor(mass);
  solve(mass, acceleration);
#else
  UNROLLED for (int k = 0; k < DOFS; k++) acceleration[k] = state->guess[k];
#endif
  UNROLLED for (int k = 0; k < DOFS; k++) {
    state->velocity[k] += acceleration[k] * (real)TIMESTEP;
    state->position[k] += state->velocity[k] * (real)TIMESTEP;
  }
}
#endif
