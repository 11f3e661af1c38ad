// How hard a soft constraint pushes back at a depth (planar/model.rs).

// The impedance at a depth, and the weight 1/R of a row whose inverse weight is `inverse`.
DEVICE real impedance(real depth, real start, real range, real inverse_width, real midpoint, real low_scale, real high_scale) {
  if (range == 0) return start;
  const real x = smaller(size_of(depth * inverse_width), 1), rest = 1 - x;
  const real profile = x < midpoint ? x * x * low_scale : 1 - rest * rest * high_scale;
  return profile * range + start;
}
DEVICE real weight_of(real imped, real inverse) { return 1 / larger((1 - imped) * inverse / imped, (real)1e-15); }
