// The entry points on an NVIDIA GPU: one thread per environment.

extern "C" __global__ void __launch_bounds__(BLOCK)
begin(double *way, real *numbers, u64 *seeds, int *ages, int *status, double *returns, float *observations, u64 stride,
      int count) {
  const int env = blockIdx.x * blockDim.x + threadIdx.x;
  const Environments all = {way, numbers, seeds, ages, status, returns};
  if (env < count) begin_environment(all, observations, stride, env, count);
}

extern "C" __global__ void __launch_bounds__(BLOCK)
advance(double *way, real *numbers, u64 *seeds, int *ages, int *status, double *returns, const float *actions,
        float *observations, double *rewards, int rule, int count) {
  const int env = blockIdx.x * blockDim.x + threadIdx.x;
  const Environments all = {way, numbers, seeds, ages, status, returns};
  if (env < count) advance_environment(all, actions, observations, rewards, rule, env, count);
}
