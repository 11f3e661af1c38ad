// The subset of C that CUDA C++, OpenCL C and C++ compilers share, and the few words in which they differ.
//
// Before this text stand `REAL` (float or double), `EXACT` (1: the bytes of the CPU's engine) and the generated tables' numbers.
// Rules of the house: no templates, no references; arrays that live in registers are indexed by constants alone, so every
// loop over joints, links or ends is UNROLLED, and every loop whose length is known at run time only is ROLLED.
#if defined(__OPENCL_VERSION__)
#define DEVICE static inline __attribute__((always_inline))
#define UNROLLED __attribute__((opencl_unroll_hint(16)))
#define ROLLED __attribute__((opencl_unroll_hint(1)))
#define GLOBAL __global
#define LOCAL __local
// What every thread of a block does before the next phase begins.
#define PHASE(...) { const int thread = (int)get_local_id(0); __VA_ARGS__; barrier(CLK_LOCAL_MEM_FENCE); }
#define OPAQUE(number)
#define INFINITE ((real)INFINITY)
typedef uint u32;
typedef ulong u64;
#define expf exp
#define tanhf tanh
#define erff erf
#define fminf fmin
#define fmaxf fmax
#define BITS_OF(x) as_ulong(x)
#define NUMBER_OF(bits) as_double((u64)(bits))
// Words of this text that are OpenCL's.
#define half half_value
#define constant known
#pragma OPENCL FP_CONTRACT OFF
#elif defined(__CUDACC__) || defined(__CUDACC_RTC__)
#define DEVICE static __device__ __forceinline__
#define UNROLLED _Pragma("unroll")
#define ROLLED _Pragma("unroll 1")
#define GLOBAL
#define LOCAL
#define PHASE(...) { const int thread = (int)threadIdx.x; __VA_ARGS__; __syncthreads(); }
// Hides a loop's length: NVRTC 13.0 copies Walker2d's four stages in spite of the pragma.
#define OPAQUE(number) asm volatile("" : "+r"(number))
#define INFINITE ((real)__int_as_float(0x7f800000))
typedef unsigned int u32;
typedef unsigned long long u64;
#define BITS_OF(x) ((u64)__double_as_longlong(x))
#define NUMBER_OF(bits) __longlong_as_double((long long)(bits))
#else
#include <math.h>
#define DEVICE static inline __attribute__((always_inline))
#define UNROLLED _Pragma("GCC unroll 16")
#define ROLLED
#define GLOBAL
#define LOCAL
#define PHASE(...) for (int thread = 0; thread < THREADS; thread++) { __VA_ARGS__; }
#define OPAQUE(number)
#define INFINITE ((real)__builtin_huge_val())
typedef unsigned int u32;
typedef unsigned long long u64;
static inline u64 bits_of(double x) { u64 bits; __builtin_memcpy(&bits, &x, sizeof bits); return bits; }
static inline double number_of(u64 bits) { double x; __builtin_memcpy(&x, &bits, sizeof x); return x; }
#define BITS_OF(x) bits_of(x)
#define NUMBER_OF(bits) number_of(bits)
#endif

typedef REAL real;

// A generated table. With an index known to the compiler it is a constant and costs nothing.
#define TABLE(type, name, length, ...) \
  DEVICE type name(int index) { const type numbers[length] = {__VA_ARGS__}; return numbers[index]; }

// Where the twin counts how often the loops of unknown length turn; nothing on a device.
#ifndef COUNT_WORK
#define COUNT_WORK(which)
#endif
