// A stand-in for NVIDIA's driver, as a library: one device, whose memory is the process's and whose programs are the kernels' twins.
// Kernels of burn's have no twins: launching them does nothing. Their PTX is written to the folder TILTRL_FAKE_PTX, if it is set.
// TILTRL_FAKE_CUDA names a folder; the twin of a PTX text stands there under the hexadecimal FNV-1a hash of the text.
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int Result;
typedef uint64_t Address;

struct Function {
  char name[32];
  void *code;
};

extern "C" {
Result cuInit(unsigned) { return 0; }
Result cuDriverGetVersion(int *version) { return *version = 13000, 0; }
Result cuDeviceGetCount(int *count) { return *count = 1, 0; }
Result cuDeviceGet(int *device, int ordinal) { return *device = ordinal, ordinal == 0 ? 0 : 101; }
Result cuDeviceGetName(char *name, int length, int) { return snprintf(name, length, "Stand-in"), 0; }
Result cuDeviceTotalMem_v2(size_t *bytes, int) { return *bytes = (size_t)1 << 34, 0; }
Result cuDeviceGetAttribute(int *value, int attribute, int) {
  // Threads a block, its three widths, the grid's three, a warp, multiprocessors, the compute capability, shared memory a block.
  const int known[][2] = {{1, 1024}, {2, 1024}, {3, 1024}, {4, 64}, {5, 2147483647}, {6, 65535}, {7, 65535},
                          {10, 32},  {16, 132}, {75, 9},   {76, 0}, {97, 232448}};
  *value = 1;
  for (const auto &one : known)
    if (one[0] == attribute) *value = one[1];
  return 0;
}
Result cuDevicePrimaryCtxRetain(void **context, int) { return *context = (void *)1, 0; }
Result cuDevicePrimaryCtxRelease_v2(int) { return 0; }
Result cuCtxSetCurrent(void *) { return 0; }
Result cuCtxSynchronize(void) { return 0; }

Result cuModuleLoadDataEx(void **module, const void *image, unsigned, int *, void **) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const unsigned char *byte = (const unsigned char *)image; *byte; byte++) hash = (hash ^ *byte) * 0x100000001b3u;
  char path[4096];
  snprintf(path, sizeof path, "%s/%016llx.so", getenv("TILTRL_FAKE_CUDA"), (unsigned long long)hash);
  *module = dlopen(path, RTLD_NOW);
  return *module ? 0 : 209;
}
// What burn calls to load its own: the image is no twin's.
Result cuModuleLoadData(void **module, const void *image) {
  static int count = 0;
  const char *folder = getenv("TILTRL_FAKE_PTX");
  char path[4096];
  snprintf(path, sizeof path, "%s/%d.ptx", folder ? folder : "", count++);
  FILE *file = folder ? fopen(path, "w") : NULL;
  if (file) {
    fputs((const char *)image, file);
    fclose(file);
  }
  return *module = NULL, 0;
}
Result cuModuleUnload(void *module) { return module ? dlclose(module) : 0; }
Result cuModuleGetFunction(void **function, void *module, const char *name) {
  Function *found = (Function *)calloc(1, sizeof *found);
  snprintf(found->name, sizeof found->name, "%s", name);
  found->code = module ? dlsym(module, name) : NULL;
  *function = found;
  return found->code || !module ? 0 : 500;
}

Result cuMemAlloc_v2(Address *address, size_t bytes) { return *address = (Address)malloc(bytes), *address ? 0 : 2; }
Result cuMemFree_v2(Address address) { return free((void *)address), 0; }
Result cuMemsetD8_v2(Address to, unsigned char value, size_t bytes) { return memset((void *)to, value, bytes), 0; }
Result cuMemcpyHtoD_v2(Address to, const void *from, size_t bytes) { return memcpy((void *)to, from, bytes), 0; }
Result cuMemcpyDtoH_v2(void *to, Address from, size_t bytes) { return memcpy(to, (void *)from, bytes), 0; }

// What burn's backend calls besides: everything is done at once, in one stream.
struct Copy {
  size_t from_x, from_y;
  int from_kind;
  const void *from_host;
  Address from_device;
  void *from_array;
  size_t from_pitch, to_x, to_y;
  int to_kind;
  void *to_host;
  Address to_device;
  void *to_array;
  size_t to_pitch, width, height;
};
static Result handle(void **made) { return *made = malloc(1), 0; }
Result cuDeviceGetPCIBusId(char *name, int length, int) { return snprintf(name, length, "0000:01:00.0"), 0; }
Result cuCtxGetStreamPriorityRange(int *least, int *greatest) { return *least = 0, *greatest = -5, 0; }
Result cuStreamCreate(void **stream, unsigned) { return handle(stream); }
Result cuStreamCreateWithPriority(void **stream, unsigned, int) { return handle(stream); }
Result cuStreamSynchronize(void *) { return 0; }
Result cuStreamWaitEvent(void *, void *, unsigned) { return 0; }
Result cuStreamDestroy_v2(void *stream) { return free(stream), 0; }
Result cuEventCreate(void **event, unsigned) { return handle(event); }
Result cuEventRecord(void *, void *) { return 0; }
Result cuEventSynchronize(void *) { return 0; }
Result cuEventElapsedTime_v2(float *milliseconds, void *, void *) { return *milliseconds = 1, 0; }
Result cuEventDestroy_v2(void *event) { return free(event), 0; }
Result cuFuncSetAttribute(void *, int, int) { return 0; }
Result cuMemAllocAsync(Address *address, size_t bytes, void *) {
  *address = (Address)aligned_alloc(512, (bytes + 511) / 512 * 512);
  return *address ? (memset((void *)*address, 0, bytes), 0) : 2;
}
Result cuMemFreeAsync(Address address, void *) { return free((void *)address), 0; }
Result cuMemAllocHost_v2(void **memory, size_t bytes) { return cuMemAllocAsync((Address *)memory, bytes, NULL); }
Result cuMemFreeHost(void *memory) { return free(memory), 0; }
Result cuMemcpyHtoDAsync_v2(Address to, const void *from, size_t bytes, void *) { return memcpy((void *)to, from, bytes), 0; }
Result cuMemcpyDtoHAsync_v2(void *to, Address from, size_t bytes, void *) { return memcpy(to, (void *)from, bytes), 0; }
Result cuMemcpyDtoDAsync_v2(Address to, Address from, size_t bytes, void *) { return memcpy((void *)to, (void *)from, bytes), 0; }
Result cuMemcpy2DAsync_v2(const Copy *copy, void *) {
  const char *from = copy->from_kind == 1 ? (const char *)copy->from_host : (const char *)copy->from_device;
  char *to = copy->to_kind == 1 ? (char *)copy->to_host : (char *)copy->to_device;
  for (size_t row = 0; row < copy->height; row++)
    memcpy(to + (row + copy->to_y) * copy->to_pitch + copy->to_x, from + (row + copy->from_y) * copy->from_pitch + copy->from_x,
           copy->width);
  return 0;
}
// NVRTC looks for tables of the driver's and does without those that are short.
Result cuGetExportTable(const void **table, const void *) {
  static const size_t none = 8;
  return *table = &none, 0;
}

// The kernels' parameters, by name: words of eight bytes, then of four.
Result cuLaunchKernel(void *function, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *, void **given,
                      void **) {
  const Function *kernel = (const Function *)function;
  if (!kernel->code) return 0;
  uint64_t w[9];
  const int words = strcmp(kernel->name, "advance") == 0 ? 9 : 8;
  for (int k = 0; k < words; k++) w[k] = *(uint64_t *)given[k];
  const int first = *(int *)given[words];
  if (words == 9) {
    typedef void (*Advance)(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, int, int);
    ((Advance)kernel->code)(w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7], w[8], first, *(int *)given[10]);
  } else {
    typedef void (*Other)(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, int);
    ((Other)kernel->code)(w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7], first);
  }
  return 0;
}
}
