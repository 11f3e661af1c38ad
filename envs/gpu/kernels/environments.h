// What belongs to many environments between two calls, and what every step and every start does to it.
//
// Every array holds one row for each number and one column for each environment, so that a warp reads 32 neighbours at once.

enum { RUNNING = 0, TERMINATED = 1, TRUNCATED = 2 };

typedef struct {
  GLOBAL double *way;        // [count], m
  GLOBAL real *numbers;      // [STATE_ROWS][count]: a robot's positions but x, velocities, guess; a system's state
  GLOBAL u64 *seeds;         // [count]: the seed of the next episode
  GLOBAL int *ages;          // [count]: steps since the episode began
  GLOBAL int *status;        // [count]: RUNNING, TERMINATED or TRUNCATED
  GLOBAL double *returns;    // [count]: the rewards of the episode so far
} Environments;

// A new episode: the seed moves on by `stride`.
DEVICE void settle_start(Environments all, u64 stride, int env) {
  all.seeds[env] += stride;
  all.ages[env] = 0;
  all.status[env] = RUNNING;
  all.returns[env] = 0;
}

// A step's reward and whether the episode goes on.
DEVICE void settle_step(Environments all, GLOBAL double *rewards, double reward, int terminated, int env) {
  const int age = all.ages[env] + 1;
  rewards[env] = reward;
  all.returns[env] += reward;
  all.ages[env] = age;
  all.status[env] = terminated ? TERMINATED : age >= HORIZON ? TRUNCATED : RUNNING;
}
