// The entry points in OpenCL C: one work item per environment.

__kernel void begin(__global double *way, __global real *numbers, __global u64 *seeds, __global int *ages, __global int *status,
                    __global double *returns, __global float *observations, u64 stride, int count) {
  const int env = (int)get_global_id(0);
  const Environments all = {way, numbers, seeds, ages, status, returns};
  if (env < count) begin_environment(all, observations, stride, env, count);
}

__kernel void advance(__global double *way, __global real *numbers, __global u64 *seeds, __global int *ages, __global int *status,
                      __global double *returns, __global const float *actions, __global float *observations,
                      __global double *rewards, int rule, int count) {
  const int env = (int)get_global_id(0);
  const Environments all = {way, numbers, seeds, ages, status, returns};
  if (env < count) advance_environment(all, actions, observations, rewards, rule, env, count);
}
