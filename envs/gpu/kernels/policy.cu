// The entry point on an NVIDIA GPU: one block for every ROWS environments.

extern "C" __global__ void __launch_bounds__(THREADS)
act(const float *observations, float *actions, const int *status, const u32 *keys, u32 *drawn, const float *numbers,
    const int *shape, const double *ziggurat, int count) {
  __shared__ __align__(16) Shared shared;
  const Policy policy = {numbers, shape, ziggurat, keys, drawn, status};
  act_block(&shared, policy, observations, actions, blockIdx.x, count);
}
