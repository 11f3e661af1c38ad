// The constraints of a moment: joints past a limit, capsules that touch the floor or one another (planar/contact.rs,
// planar/segments.rs). Each row asks for the acceleration J·a = reference and pushes with weight·(reference − J·a) when J·a
// falls short. A contact with friction is a pyramid: normal + μ·tangent, normal − μ·tangent, and twice the normal.

// A joint at one of its limits; the weight is zero where it is not.
typedef struct {
  real sign, weight, reference, residual, slope;
} Limit;

// A contact. Its rows are made anew from the point where they are used: that is cheaper than to keep them.
typedef struct {
  real x, z;
#if PAIRS
  real normal_x, normal_z, normal_weight;
#endif
#if PAIRS || !ONE_FRICTION
  real friction, friction_square;
#endif
  real weight;
  real reference[3], residual[3], slope[3];
  u32 chain;
} Contact;

#if PAIRS || !ONE_FRICTION
#define FRICTION_OF(contact) (contact)->friction
#define FRICTION_SQUARE_OF(contact) (contact)->friction_square
#else
#define FRICTION_OF(contact) ((real)FRICTION)
#define FRICTION_SQUARE_OF(contact) ((real)FRICTION_SQUARE)
#endif
#if PAIRS
#define NORMAL_WEIGHT_OF(contact) (contact)->normal_weight
#else
#define NORMAL_WEIGHT_OF(contact) ((contact)->weight * 2)
#endif
#define FACET_WEIGHT(contact, facet) ((facet) == 2 ? NORMAL_WEIGHT_OF(contact) : (contact)->weight)

DEVICE real limit_impedance(real depth) {
  return impedance(depth, LIMIT_START, LIMIT_RANGE, LIMIT_INVERSE_WIDTH, LIMIT_MIDPOINT, LIMIT_LOW_SCALE, LIMIT_HIGH_SCALE);
}
DEVICE real contact_impedance(real depth) {
  return impedance(depth, CONTACT_START, CONTACT_RANGE, CONTACT_INVERSE_WIDTH, CONTACT_MIDPOINT, CONTACT_LOW_SCALE,
                   CONTACT_HIGH_SCALE);
}

DEVICE void find_limits(const real position[DOFS], const real velocity[DOFS], Limit limits[DOFS]) {
  UNROLLED for (int d = 0; d < DOFS; d++) {
    if (!joint_limited(d)) continue;
    const real above_low = position[d] - limit_low(d), below_high = limit_high(d) - position[d];
    const real depth = smaller(above_low, below_high) - limit_margin(d);
    const real sign = above_low < below_high ? (real)1 : (real)-1;
    limits[d].sign = sign;
    limits[d].weight = limits[d].reference = 0;
    if (depth < 0) {
      const real imped = limit_impedance(depth);
      limits[d].weight = weight_of(imped, limit_inverse_weight(d));
      limits[d].reference = -(sign * velocity[d] * (real)LIMIT_DAMPING) - imped * depth * (real)LIMIT_STIFFNESS;
    }
  }
}

// How fast each joint moves a contact along its normal and its tangent.
DEVICE void contact_rows(const Contact *contact, const Anchors *anchors, real normal[DOFS], real tangent[DOFS]) {
  UNROLLED for (int k = 0; k < DOFS; k++) {
    const int on = dof_is_common(k) || ((contact->chain >> k) & 1u);
    if (joint_slides(k)) {
      normal[k] = on ? slide_z(k) : (real)0;
      tangent[k] = on ? slide_x(k) : (real)0;
    } else {
      const real along_x = times(contact->z - anchors->z[k], hinge_sign(k));
      const real along_z = times(anchors->x[k] - contact->x, hinge_sign(k));
#if PAIRS
      const real across = contact->normal_x * along_x + contact->normal_z * along_z;
#else
      const real across = along_z;
#endif
      normal[k] = on ? across : (real)0;
      tangent[k] = on ? along_x : (real)0;
    }
  }
}

// The three rows times a vector.
DEVICE void rows_times(const Contact *contact, const Anchors *anchors, const real vector[DOFS], real out[3]) {
  real normal[DOFS], tangent[DOFS], along_normal = 0, along_tangent = 0;
  contact_rows(contact, anchors, normal, tangent);
  UNROLLED for (int k = 0; k < DOFS; k++) {
    along_normal += normal[k] * vector[k];
    along_tangent += tangent[k] * vector[k];
  }
  const real sideways = along_tangent * FRICTION_OF(contact);
  out[0] = along_normal + sideways;
  out[1] = along_normal - sideways;
  out[2] = along_normal;
}

#if ENDS
// Notes which ends of capsules are near the floor; `residual[0]` holds the depth and `weight` the regulariser till the
// contact is finished. Returns how many there are.
DEVICE int find_floor(const Frames *frames, Contact contacts[MAX_CONTACTS]) {
  int count = 0;
  UNROLLED for (int e = 0; e < ENDS; e++) {
    const int b = end_body(e);
    const real offset_x = turned_x(frames->sine[b], frames->cosine[b], end_x(e), end_z(e));
    const real offset_z = turned_z(frames->sine[b], frames->cosine[b], end_x(e), end_z(e));
    const real distance = frames->z[b] + offset_z - end_radius(e);
    if (distance < end_margin(e)) {
      Contact *contact = &contacts[count++];
      contact->x = frames->x[b] + offset_x;
      contact->z = distance * (real)0.5;
      contact->weight = end_regulariser(e);
      contact->residual[0] = distance - end_margin(e);
      contact->chain = end_chain(e);
#if PAIRS || !ONE_FRICTION
      contact->friction = end_friction(e);
      contact->friction_square = end_friction_square(e);
#endif
#if PAIRS
      contact->normal_x = 0;
      contact->normal_z = 1;
#endif
    }
  }
  return count;
}
#endif

#if PAIRS
// A capsule of a pair at its place, in f64 whatever `real` is: nearly parallel axes need the digits.
typedef struct {
  double x, z, axis_x, axis_z, half_length, radius;
} Segment;

// Adds the contact between two points of the segments' axes, if they are near; returns the new count.
DEVICE int touch(const Segment *first, const Segment *second, double along_first, double along_second, int pair, int count,
                 Contact contacts[MAX_CONTACTS]) {
  const double from_x = first->x + along_first * first->axis_x, from_z = first->z + along_first * first->axis_z;
  const double to_x = second->x + along_second * second->axis_x, to_z = second->z + along_second * second->axis_z;
  const double between_x = to_x - from_x, between_z = to_z - from_z;
  const double length = sqrt(between_x * between_x + between_z * between_z);
  const double distance = length - first->radius - second->radius;
  if (distance >= pair_margin(pair) || length < CROSSING) return count;
  if (!((real)distance < (real)pair_margin(pair))) return count;
  const double normal_x = between_x / length, normal_z = between_z / length, depth = first->radius + 0.5 * distance;
  Contact *contact = &contacts[count];
  contact->normal_x = (real)normal_x;
  contact->normal_z = (real)normal_z;
  contact->x = (real)(from_x + depth * normal_x);
  contact->z = (real)(from_z + depth * normal_z);
  contact->weight = (real)pair_inverse_weight(pair);
  contact->residual[0] = (real)distance - (real)pair_margin(pair);
  contact->friction = contact->friction_square = 0;
  contact->chain = pair_chain(pair);
  return count + 1;
}

// The contacts of a pair by MuJoCo's rule: one for crossing lines, up to two at the ends of parallel ones.
DEVICE int touch_segments(const Segment *first, const Segment *second, int pair, int count, Contact contacts[MAX_CONTACTS]) {
  const double between_x = first->x - second->x, between_z = first->z - second->z;
  const double cosine = -(first->axis_x * second->axis_x + first->axis_z * second->axis_z);
  const double u = -(first->axis_x * between_x + first->axis_z * between_z);
  const double v = second->axis_x * between_x + second->axis_z * between_z;
  const double determinant = 1.0 - cosine * cosine;
  if (fabs(determinant) >= PARALLEL) {
    double along_first = (u - cosine * v) / determinant, along_second = (v - cosine * u) / determinant;
    if (fabs(along_first) > first->half_length) {
      along_first = along_first < 0 ? -first->half_length : first->half_length;
      along_second = v - cosine * along_first;
    }
    if (fabs(along_second) > second->half_length) {
      along_second = along_second < 0 ? -second->half_length : second->half_length;
      along_first = clamped(u - cosine * along_second, -first->half_length, first->half_length);
    }
    return touch(first, second, along_first, along_second, pair, count, contacts);
  }
  const int most = count + 2;
  ROLLED for (int k = 0; k < 4 && count < most; k++) {
    const double end = (k & 1) ? -1.0 : 1.0;
    const double along_first = k < 2 ? end * first->half_length : u - cosine * (end * second->half_length);
    const double along_second = k < 2 ? v - cosine * (end * first->half_length) : end * second->half_length;
    if (fabs(along_first) <= first->half_length && fabs(along_second) <= second->half_length)
      count = touch(first, second, along_first, along_second, pair, count, contacts);
  }
  return count;
}

#define PLACE_SEGMENT(segment, which)                                                                                      \
  {                                                                                                                        \
    const int b = which##_body(p);                                                                                         \
    const real s = frames->sine[b], c = frames->cosine[b];                                                                 \
    segment.x = frames->x[b] + turned_x(s, c, which##_centre_x(p), which##_centre_z(p));                                   \
    segment.z = frames->z[b] + turned_z(s, c, which##_centre_x(p), which##_centre_z(p));                                   \
    segment.axis_x = turned_x(s, c, which##_axis_x(p), which##_axis_z(p));                                                 \
    segment.axis_z = turned_z(s, c, which##_axis_x(p), which##_axis_z(p));                                                 \
    segment.half_length = which##_half_length(p);                                                                          \
    segment.radius = which##_radius(p);                                                                                    \
  }

DEVICE int find_pairs(const Frames *frames, int count, Contact contacts[MAX_CONTACTS]) {
  UNROLLED for (int p = 0; p < PAIRS; p++) {
    Segment first, second;
    PLACE_SEGMENT(first, pair_first)
    PLACE_SEGMENT(second, pair_second)
    // The centres' distance in `real`, as the CPU's engine has it.
    const real between_x = (real)second.x - (real)first.x, between_z = (real)second.z - (real)first.z;
    if (between_x * between_x + between_z * between_z < (real)pair_reach_square(p))
      count = touch_segments(&first, &second, p, count, contacts);
  }
  return count;
}
#endif

// Weight and reference accelerations of a contact that was found.
DEVICE void finish_contact(Contact *contact, const Anchors *anchors, const real velocity[DOFS]) {
  const real depth = contact->residual[0], imped = contact_impedance(depth);
  const real weight = weight_of(imped, contact->weight);
#if PAIRS
  const int rough = contact->friction > 0;
  contact->weight = rough ? weight : (real)0;
  contact->normal_weight = rough ? weight * 2 : weight;
#else
  contact->weight = weight;
#endif
  real speeds[3];
  rows_times(contact, anchors, velocity, speeds);
  const real pull = imped * depth * (real)CONTACT_STIFFNESS;
  UNROLLED for (int f = 0; f < 3; f++) contact->reference[f] = -(speeds[f] * (real)CONTACT_DAMPING) - pull;
}

// Fills limits and contacts; returns the number of contacts.
DEVICE int find_constraints(const Frames *frames, const Anchors *anchors, const real position[DOFS], const real velocity[DOFS],
                            Limit limits[DOFS], Contact contacts[MAX_CONTACTS]) {
  find_limits(position, velocity, limits);
  int count = 0;
#if ENDS
  count = find_floor(frames, contacts);
#endif
#if PAIRS
  count = find_pairs(frames, count, contacts);
#endif
  ROLLED for (int c = 0; c < count; c++) finish_contact(&contacts[c], anchors, velocity);
  return count;
}
