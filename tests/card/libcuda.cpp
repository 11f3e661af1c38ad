// A stand-in for NVIDIA's driver, as a library: one device, whose memory is the process's and whose programs are the kernels' twins.
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
  // 75 and 76 are the compute capability, 16 the number of multiprocessors.
  return *value = attribute == 75 ? 9 : attribute == 76 ? 0 : 132, 0;
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
Result cuModuleUnload(void *module) { return dlclose(module); }
Result cuModuleGetFunction(void **function, void *module, const char *name) {
  Function *found = (Function *)calloc(1, sizeof *found);
  snprintf(found->name, sizeof found->name, "%s", name);
  found->code = dlsym(module, name);
  *function = found;
  return found->code ? 0 : 500;
}

Result cuMemAlloc_v2(Address *address, size_t bytes) { return *address = (Address)malloc(bytes), *address ? 0 : 2; }
Result cuMemFree_v2(Address address) { return free((void *)address), 0; }
Result cuMemsetD8_v2(Address to, unsigned char value, size_t bytes) { return memset((void *)to, value, bytes), 0; }
Result cuMemcpyHtoD_v2(Address to, const void *from, size_t bytes) { return memcpy((void *)to, from, bytes), 0; }
Result cuMemcpyDtoH_v2(void *to, Address from, size_t bytes) { return memcpy(to, (void *)from, bytes), 0; }

// The kernels' parameters, by name: words of eight bytes, then of four.
Result cuLaunchKernel(void *function, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *, void **given,
                      void **) {
  const Function *kernel = (const Function *)function;
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
