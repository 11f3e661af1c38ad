// The entry point in OpenCL C: one group of THREADS work items for every ROWS environments.

__kernel __attribute__((reqd_work_group_size(THREADS, 1, 1)))
void act(__global const float *observations, __global float *actions, __global const int *status, __global const u32 *keys,
         __global u32 *drawn, __global const float *numbers, __global const int *shape, __global const double *ziggurat, int count) {
  __local Shared shared;
  const Policy policy = {numbers, shape, ziggurat, keys, drawn, status};
  act_block(&shared, policy, observations, actions, (int)get_group_id(0), count);
}
