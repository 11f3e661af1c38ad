// Arithmetic: each function rounds as its namesake of planar/lanes.rs and planar/trigonometry.rs does.

DEVICE real smaller(real a, real b) { return b < a ? b : a; }
DEVICE real larger(real a, real b) { return b > a ? b : a; }
DEVICE real size_of(real a) { return a < 0 ? -a : a; }
DEVICE double clamped(double x, double low, double high) { return x < low ? low : x > high ? high : x; }
DEVICE real where_negative(real weight, real residual) { return residual < 0 ? weight : (real)0; }

// x times a constant of a table: nothing is computed for 0 and ±1.
DEVICE real times(real x, real constant) {
  return constant == 0 ? (real)0 : constant == 1 ? x : constant == -1 ? -x : x * constant;
}

// The vector (x, z) of a link's frame, constant, turned into the world's.
DEVICE real turned_x(real sine, real cosine, real x, real z) {
  return z == 0 ? times(cosine, x) : x == 0 ? times(sine, z) : cosine * x + sine * z;
}
DEVICE real turned_z(real sine, real cosine, real x, real z) {
  return x == 0 ? times(cosine, z) : z == 0 ? -times(sine, x) : cosine * z - sine * x;
}

#if EXACT
// Sine and cosine in f64 whatever `real` is: the same steps as planar/trigonometry.rs, whose numbers stand in the tables.
DEVICE void sine_and_cosine(real angle, real *sine, real *cosine) {
  const double x = angle;
  const double quarters = (x * TWO_OVER_PI + ROUNDER) - ROUNDER;
  const double rest = (x - quarters * HALF_PI_HIGH) - quarters * HALF_PI_MIDDLE;
  double tail = quarters * HALF_PI_LOW;
  const double reduced = rest - tail;
  tail = (rest - reduced) - tail;
  const double square = reduced * reduced, cube = square * reduced;
  double poly = sine_coefficient(5);
  UNROLLED for (int k = 4; k >= 1; k--) poly = poly * square + sine_coefficient(k);
  const double s = reduced - ((square * (tail * 0.5 - cube * poly) - tail) - cube * sine_coefficient(0));
  poly = cosine_coefficient(5);
  UNROLLED for (int k = 4; k >= 0; k--) poly = poly * square + cosine_coefficient(k);
  poly = square * poly;
  const double half = square * 0.5, head = 1.0 - half;
  const double c = head + (((1.0 - head) - half) + (square * poly - reduced * tail));
  const int turn = (int)quarters;
  const double swapped_s = (turn & 1) ? c : s, swapped_c = (turn & 1) ? s : c;
  *sine = (real)((turn & 2) ? -swapped_s : swapped_s);
  *cosine = (real)(((turn + 1) & 2) ? -swapped_c : swapped_c);
}
#else
// Sine and cosine in f32, right to 1e-7 for angles below a thousand turns: Cody–Waite in three parts of few bits, and the
// minimax polynomials of Cephes' sinf and cosf.
DEVICE void sine_and_cosine(real x, real *sine, real *cosine) {
  const real quarters = (x * 0.636619772f + 12582912.0f) - 12582912.0f;
  const real r = ((x - quarters * 1.5703125f) - quarters * 4.83751296997e-4f) - quarters * 7.54978995489e-8f;
  const real q = r * r;
  const real s = r + r * q * (-1.6666654611e-1f + q * (8.3321608736e-3f - q * 1.9515295891e-4f));
  const real c = 1.0f - 0.5f * q + q * q * (4.166664568298827e-2f + q * (-1.388731625493765e-3f + q * 2.443315711809948e-5f));
  const int turn = (int)quarters;
  const real swapped_s = (turn & 1) ? c : s, swapped_c = (turn & 1) ? s : c;
  *sine = (turn & 2) ? -swapped_s : swapped_s;
  *cosine = ((turn + 1) & 2) ? -swapped_c : swapped_c;
}
#endif
