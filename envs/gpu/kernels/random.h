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

// A standard normal number (Box–Muller, the cosine half).
DEVICE double normal_number(Stream *stream) {
  const double radius = sqrt(-2.0 * logarithm(1.0 - unit_number(stream)));
  double sine, cosine;
  libm_sine_and_cosine(6.283185307179586 * unit_number(stream), &sine, &cosine);
  return radius * cosine;
}
