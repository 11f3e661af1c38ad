// The same entry point as an ordinary function that goes through the blocks one by one: the twin that tests run on a CPU.

extern "C" void act(const float *observations, float *actions, const int *status, const u32 *keys, u32 *drawn,
                    const float *numbers, const int *shape, const double *ziggurat, int count) {
  static thread_local Shared shared;
  const Policy policy = {numbers, shape, ziggurat, keys, drawn, status};
  for (int block = 0; block * ROWS < count; block++) act_block(&shared, policy, observations, actions, block, count);
}
