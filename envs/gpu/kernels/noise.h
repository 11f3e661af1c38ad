// Standard normal numbers as rand_distr draws them, by the ziggurat of 256 strips (J. A. Doornik, "An improved ziggurat method to
// generate normal random samples", 2005), from a ChaCha8 stream with a key of its own: a policy's noise is the CPU's noise.

// A stream whose key is given, after `drawn` words of it.
DEVICE void open_keyed_stream(Stream *stream, GLOBAL const u32 *keys, u32 drawn, int env, int count) {
  UNROLLED for (int k = 0; k < 8; k++) stream->key[k] = keys[k * count + env];
  stream->block = drawn / 16;
  stream->next = 16;
  if (drawn % 16) {
    next_block(stream);
    stream->next = (int)(drawn % 16);
  }
}
DEVICE u32 words_drawn(const Stream *stream) { return stream->block * 16 - (u32)(16 - stream->next); }

DEVICE u64 next_bits(Stream *stream) {
  if (stream->next == 16) next_block(stream);
  const u64 low = stream->words[stream->next], high = stream->words[stream->next + 1];
  stream->next += 2;
  return (high << 32) | low;
}

// From (0, 1), on a grid of 2^-52 whose points lie in the middle of their cells.
DEVICE double open_number(Stream *stream) {
  return (double)(next_bits(stream) >> 12) * 2.220446049250313e-16 + 1.1102230246251565e-16;
}

// `ziggurat`: the strips' 257 right ends, then the density there.
DEVICE double ziggurat_number(Stream *stream, GLOBAL const double *ziggurat) {
  for (;;) {
    const u64 bits = next_bits(stream);
    const int strip = (int)(bits & 255);
    const double share = (double)(bits >> 12) * 4.440892098500626e-16 - 1.0, x = share * ziggurat[strip];
    if (fabs(x) < ziggurat[strip + 1]) return x;
    if (strip == 0) {
      double beyond, height;
      do {
        beyond = logarithm(open_number(stream)) / ziggurat[1];
        height = logarithm(open_number(stream));
      } while (-2.0 * height < beyond * beyond);
      return share < 0 ? beyond - ziggurat[1] : ziggurat[1] - beyond;
    }
    const double low = ziggurat[257 + strip + 1], high = ziggurat[257 + strip];
    if (low + (high - low) * unit_number(stream) < exp(-x * x / 2.0)) return x;
  }
}
