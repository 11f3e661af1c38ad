// The same entry points as ordinary functions that go through the environments one by one: the twin that tests run on a CPU.

extern "C" void begin(double *way, real *numbers, u64 *seeds, int *ages, int *status, double *returns, float *observations,
                      u64 stride, int count) {
  const Environments all = {way, numbers, seeds, ages, status, returns};
  for (int env = 0; env < count; env++) begin_environment(all, observations, stride, env, count);
}

extern "C" void advance(double *way, real *numbers, u64 *seeds, int *ages, int *status, double *returns, const float *actions,
                        float *observations, double *rewards, int rule, int count) {
  const Environments all = {way, numbers, seeds, ages, status, returns};
  for (int env = 0; env < count; env++)
    advance_environment(all, actions, observations, rewards, rule, env, count);
}
