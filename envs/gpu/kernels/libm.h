// log, exp, sin, cos and hypot of f64 to the last bit as the Rust crate libm has them, which follows FreeBSD's msun and musl: the
// start states and the small systems of the CPU are computed with it.

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

// e^x for x from [-700, 0], rounded as libm's `exp` (the algorithm of FreeBSD's e_exp.c): x = k·log 2 + r, and e^r by a polynomial
// in r² for r·(e^r + 1)/(e^r - 1).
DEVICE double exponential(double x) {
  const u32 head = (u32)(BITS_OF(x) >> 32) & 0x7fffffffu;
  if (head <= 0x3e300000u) return 1.0 + x;
  const int halvings = head <= 0x3fd62e42u ? 0 : head < 0x3ff0a2b2u ? 1 : (int)(0.5 - 1.44269504088896338700e+00 * x);
  const double high = x + halvings * 6.93147180369123816490e-01, low = halvings * -1.90821492927058770002e-10;
  const double r = high - low, square = r * r;
  const double series = 1.66666666666666019037e-01 + square * (-2.77777777770155933842e-03 + square *
                       (6.61375632143793436117e-05 + square * (-1.65339022054652515390e-06 + square * 4.13813679705723846039e-08)));
  const double c = r - square * series;
  const double small = 1.0 + (r * c / (2.0 - c) - low + high);
  return small * NUMBER_OF((u64)(1023 - halvings) << 52);
}

// x² = the result + rest, exactly (T. J. Dekker, "A floating-point technique for extending the available precision", 1971).
DEVICE double square_with_rest(double x, double *rest) {
  const double wide = x * 134217729.0, head = (x - wide) + wide, tail = x - head, square = x * x;
  *rest = ((head * head - square) + 2.0 * head * tail) + tail * tail;
  return square;
}

// sqrt(x² + y²), rounded as libm's `hypot` (the algorithm of musl); right for numbers whose squares are neither infinite nor tiny.
DEVICE double hypotenuse(double x, double y) {
  const double a = fabs(x), b = fabs(y), most = a < b ? b : a, least = a < b ? a : b;
  const int apart = (int)(BITS_OF(most) >> 52) - (int)(BITS_OF(least) >> 52);
  if (least == 0.0 || apart > 64) return most + least;
  double most_rest, least_rest;
  const double most_square = square_with_rest(most, &most_rest), least_square = square_with_rest(least, &least_rest);
  return sqrt(((least_rest + most_rest) + least_square) + most_square);
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
// The sine where y is zero: the same polynomial in another order.
DEVICE double smallest_sine(double x) {
  const double z = x * x, w = z * z;
  const double r = 8.33333333332248946124e-03 + z * (-1.98412698298579493134e-04 + z * 2.75573137070700676789e-06) +
                   z * w * (-2.50507602534068634195e-08 + z * 1.58969099521155010221e-10);
  return x + z * x * (-1.66666666666666324348e-01 + z * r);
}


// x ≥ 0 less `quarter` quarter turns, as y + low; returns `quarter`. Up to 9π/4 the upper half of the bits chooses the quarter
// turn; further on, and next to whole quarter turns, rounding does, and more digits of π/2 replace those that cancel. Right for
// x below 2^20·π/2.
DEVICE int reduce_angle(double x, double *y, double *low) {
  const u32 head = (u32)(BITS_OF(x) >> 32);
  const int near = ((head & 0xfffffu) == 0x921fbu && head <= 0x400f6a7au) || head == 0x4012d97cu || head == 0x401921fbu;
  const int chosen = head <= 0x4002d97cu ? 1 : head <= 0x400f6a7au ? 2 : head <= 0x4015fdbcu ? 3 : 4;
  const int rounded = near || head > 0x401c463bu;
  const double quarter = rounded ? (x * 6.36619772367581382433e-01 + 6755399441055744.0) - 6755399441055744.0 : chosen;
  double rest = x - quarter * 1.57079632673412561417e+00, tail = quarter * 6.07710050650619224932e-11;
  *y = rest - tail;
  const int size = (int)(head >> 20);
  if (rounded && size - (int)((BITS_OF(*y) >> 52) & 0x7ff) > 16) {
    double before = rest;
    tail = quarter * 6.07710050630396597660e-11;
    rest = before - tail;
    tail = quarter * 2.02226624879595063154e-21 - ((before - rest) - tail);
    *y = rest - tail;
    if (size - (int)((BITS_OF(*y) >> 52) & 0x7ff) > 49) {
      before = rest;
      tail = quarter * 2.02226624871116645580e-21;
      rest = before - tail;
      tail = quarter * 8.47842766036889956997e-32 - ((before - rest) - tail);
      *y = rest - tail;
    }
  }
  *low = (rest - *y) - tail;
  return (int)quarter;
}

DEVICE void libm_sine_and_cosine(double angle, double *sine, double *cosine) {
  const double x = angle < 0 ? -angle : angle;
  double s, c;
  if ((u32)(BITS_OF(x) >> 32) <= 0x3fe921fbu) {
    s = smallest_sine(x);
    c = small_cosine(x, 0.0);
  } else {
    double y, low;
    const int quarter = reduce_angle(x, &y, &low);
    const double turned_s = small_sine(y, low), turned_c = small_cosine(y, low);
    s = (quarter & 1) ? turned_c : turned_s;
    c = (quarter & 1) ? turned_s : turned_c;
    if (quarter & 2) s = -s;
    if ((quarter + 1) & 2) c = -c;
  }
  *sine = angle < 0 ? -s : s;
  *cosine = c;
}
