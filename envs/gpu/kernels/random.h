// The random numbers of random.rs: a ChaCha8 stream per seed (D. J. Bernstein, "ChaCha, a variant of Salsa20", 2008), whose
// key grows from the seed by PCG32 as rand_core's `seed_from_u64` does. Episode i is the CPU's episode i, to the last bit.

typedef struct {
  u32 key[8];
  u32 words[16];
  u32 block;
  int next;
} Stream;

DEVICE void open_stream(Stream *stream, u64 seed) {
  ROLLED for (int k = 0; k < 8; k++) {
    seed = seed * 0x5851F42D4C957F2DULL + 0xA17654E46FBE17F3ULL;
    const u32 mixed = (u32)(((seed >> 18) ^ seed) >> 27), turn = (u32)(seed >> 59);
    stream->key[k] = (mixed >> turn) | (mixed << ((32 - turn) & 31));
  }
  stream->block = 0;
  stream->next = 16;
}

#define ROTATE(x, n) (((x) << (n)) | ((x) >> (32 - (n))))
#define QUARTER_ROUND(a, b, c, d)                    \
  a += b; d ^= a; d = ROTATE(d, 16);                 \
  c += d; b ^= c; b = ROTATE(b, 12);                 \
  a += b; d ^= a; d = ROTATE(d, 8);                  \
  c += d; b ^= c; b = ROTATE(b, 7);

DEVICE void next_block(Stream *stream) {
  u32 x[16] = {0x61707865u, 0x3320646eu, 0x79622d32u, 0x6b206574u, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  UNROLLED for (int k = 0; k < 8; k++) x[4 + k] = stream->key[k];
  x[12] = stream->block;
  UNROLLED for (int k = 0; k < 16; k++) stream->words[k] = x[k];
  ROLLED for (int round = 0; round < 4; round++) {
    QUARTER_ROUND(x[0], x[4], x[8], x[12])
    QUARTER_ROUND(x[1], x[5], x[9], x[13])
    QUARTER_ROUND(x[2], x[6], x[10], x[14])
    QUARTER_ROUND(x[3], x[7], x[11], x[15])
    QUARTER_ROUND(x[0], x[5], x[10], x[15])
    QUARTER_ROUND(x[1], x[6], x[11], x[12])
    QUARTER_ROUND(x[2], x[7], x[8], x[13])
    QUARTER_ROUND(x[3], x[4], x[9], x[14])
  }
  UNROLLED for (int k = 0; k < 16; k++) stream->words[k] += x[k];
  stream->block += 1;
  stream->next = 0;
}

// From [0, 1), on a grid of 2^-53.
DEVICE double unit_number(Stream *stream) {
  if (stream->next == 16) next_block(stream);
  const u64 low = stream->words[stream->next], high = stream->words[stream->next + 1];
  stream->next += 2;
  return (double)(((high << 32) | low) >> 11) * 1.1102230246251565e-16;
}

// From [low, high).
DEVICE double uniform_number(Stream *stream, double low, double high) {
  return low + (high - low) * unit_number(stream);
}

// The natural logarithm of a number from (0, 1], rounded as libm's `log` (the algorithm of FreeBSD's e_log.c): x = 2^k·m
// with m near one, log m by s = f/(2 + f).
DEVICE double logarithm(double x) {
  u64 bits = BITS_OF(x);
  u32 head = (u32)(bits >> 32);
  if (x == 1.0) return 0.0;
  head += 0x3ff00000u - 0x3fe6a09eu;
  const double exponent = (double)((int)(head >> 20) - 0x3ff);
  head = (head & 0x000fffffu) + 0x3fe6a09eu;
  const double f = NUMBER_OF(((u64)head << 32) | (bits & 0xffffffffULL)) - 1.0;
  const double half_square = 0.5 * f * f, s = f / (2.0 + f), z = s * s, w = z * z;
  const double even = w * (3.999999999940941908e-01 + w * (2.222219843214978396e-01 + w * 1.531383769920937332e-01));
  const double odd = z * (6.666666666666735130e-01 + w * (2.857142874366239149e-01 +
                     w * (1.818357216161805012e-01 + w * 1.479819860510518591e-01)));
  return s * (half_square + (odd + even)) + exponent * 1.90821492927058770002e-10 - half_square + f +
         exponent * 6.93147180369123816490e-01;
}

// Cosine and sine of x + y, |x| ≤ π/4, rounded as FreeBSD's k_cos.c and k_sin.c.
DEVICE double small_cosine(double x, double y) {
  const double z = x * x, w = z * z;
  const double r = z * (4.16666666666666019037e-02 + z * (-1.38888888888741095749e-03 + z * 2.48015872894767294178e-05)) +
                   w * w * (-2.75573143513906633035e-07 + z * (2.08757232129817482790e-09 + z * -1.13596475577881948265e-11));
  const double half = 0.5 * z, head = 1.0 - half;
  return head + (((1.0 - head) - half) + (z * r - x * y));
}
DEVICE double small_sine(double x, double y) {
  const double z = x * x, w = z * z, v = z * x;
  const double r = 8.33333333332248946124e-03 + z * (-1.98412698298579493134e-04 + z * 2.75573137070700676789e-06) +
                   z * w * (-2.50507602534068634195e-08 + z * 1.58969099521155010221e-10);
  return x - ((z * (0.5 * y - v * r) - y) - v * -1.66666666666666324348e-01);
}

// The cosine of a number from [0, 2π), rounded as libm's `cos`: the quarter turn is chosen by the upper half of the bits.
DEVICE double cosine_in_one_turn(double x) {
  const u32 head = (u32)(BITS_OF(x) >> 32);
  if (head <= 0x3fe921fbu) return small_cosine(x, 0.0);
  const int quarter = head <= 0x4002d97cu ? 1 : head <= 0x400f6a7au ? 2 : head <= 0x4015fdbcu ? 3 : 4;
  double rest = x - quarter * 1.57079632673412561417e+00, tail = quarter * 6.07710050650619224932e-11, y = rest - tail;
  // Next to a whole quarter turn most digits cancel: take more of π/2.
  const int near = (quarter <= 2 && (head & 0xfffffu) == 0x921fbu) || head == 0x4012d97cu || head == 0x401921fbu;
  if (near && (int)(head >> 20) - (int)((BITS_OF(y) >> 52) & 0x7ff) > 16) {
    const double before = rest;
    tail = quarter * 6.07710050630396597660e-11;
    rest = before - tail;
    tail = quarter * 2.02226624879595063154e-21 - ((before - rest) - tail);
    y = rest - tail;
  }
  const double low = (rest - y) - tail;
  const double cosine = (quarter & 1) ? small_sine(y, low) : small_cosine(y, low);
  return quarter == 1 || quarter == 2 ? -cosine : cosine;
}

// A standard normal number (Box–Muller, the cosine half).
DEVICE double normal_number(Stream *stream) {
  const double radius = sqrt(-2.0 * logarithm(1.0 - unit_number(stream)));
  return radius * cosine_in_one_turn(6.283185307179586 * unit_number(stream));
}
