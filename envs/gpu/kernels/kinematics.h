// Where the links are, how they move, and what that weighs (planar/kinematics.rs, planar/dynamics.rs).
//
// Horizontal positions are relative to the root. A link's frame holds its angle about +y, its origin, its angular velocity
// and the acceleration of its origin if all joint accelerations were zero.

typedef struct {
  real sine[BODIES], cosine[BODIES], angle[BODIES], turn_rate[BODIES];
  real x[BODIES], z[BODIES], acceleration_x[BODIES], acceleration_z[BODIES];
} Frames;

// The hinges' anchors, m.
typedef struct {
  real x[DOFS], z[DOFS];
} Anchors;

// Turns link b by joint d, a hinge, about its anchor.
DEVICE void turn_link(Frames *frames, Anchors *anchors, int b, int d, real angle, real rate) {
  const real at_x = anchor_x(d), at_z = anchor_z(d);
  const int shifted = at_x != 0 || at_z != 0;
  real fixed_x = frames->x[b], fixed_z = frames->z[b];
  if (shifted) {
    const real before_x = turned_x(frames->sine[b], frames->cosine[b], at_x, at_z);
    const real before_z = turned_z(frames->sine[b], frames->cosine[b], at_x, at_z);
    const real square = frames->turn_rate[b] * frames->turn_rate[b];
    fixed_x += before_x;
    fixed_z += before_z;
    frames->acceleration_x[b] -= square * before_x;
    frames->acceleration_z[b] -= square * before_z;
  }
  frames->angle[b] += times(angle, hinge_sign(d));
  frames->turn_rate[b] += times(rate, hinge_sign(d));
  sine_and_cosine(frames->angle[b], &frames->sine[b], &frames->cosine[b]);
  anchors->x[d] = fixed_x;
  anchors->z[d] = fixed_z;
  if (shifted) {
    const real after_x = turned_x(frames->sine[b], frames->cosine[b], at_x, at_z);
    const real after_z = turned_z(frames->sine[b], frames->cosine[b], at_x, at_z);
    const real square = frames->turn_rate[b] * frames->turn_rate[b];
    frames->x[b] = fixed_x - after_x;
    frames->z[b] = fixed_z - after_z;
    frames->acceleration_x[b] += square * after_x;
    frames->acceleration_z[b] += square * after_z;
  }
}

// Puts link b at its place in its parent's frame.
DEVICE void hang_link(Frames *frames, int b) {
  const int root = body_parent(b) < 0, p = root ? 0 : body_parent(b);
  if (root) {
    frames->sine[b] = frames->angle[b] = frames->turn_rate[b] = 0;
    frames->acceleration_x[b] = frames->acceleration_z[b] = 0;
    frames->cosine[b] = 1;
    frames->x[b] = body_position_x(b);
    frames->z[b] = body_position_z(b);
  } else {
    const real offset_x = turned_x(frames->sine[p], frames->cosine[p], body_position_x(b), body_position_z(b));
    const real offset_z = turned_z(frames->sine[p], frames->cosine[p], body_position_x(b), body_position_z(b));
    const real square = frames->turn_rate[p] * frames->turn_rate[p];
    frames->sine[b] = frames->sine[p];
    frames->cosine[b] = frames->cosine[p];
    frames->angle[b] = frames->angle[p];
    frames->turn_rate[b] = frames->turn_rate[p];
    frames->x[b] = frames->x[p] + offset_x;
    frames->z[b] = frames->z[p] + offset_z;
    frames->acceleration_x[b] = frames->acceleration_x[p] - square * offset_x;
    frames->acceleration_z[b] = frames->acceleration_z[p] - square * offset_z;
  }
}

DEVICE void place_links(const real position[DOFS], const real velocity[DOFS], Frames *frames, Anchors *anchors) {
  UNROLLED for (int b = 0; b < BODIES; b++) {
    hang_link(frames, b);
    UNROLLED for (int d = 0; d < DOFS; d++) {
      if (joint_body(d) != b) continue;
      const real displacement = position[d] - (real)joint_reference(d);
      if (!joint_slides(d)) {
        turn_link(frames, anchors, b, d, displacement, velocity[d]);
      } else {
        if (slide_z(d) != 0) frames->z[b] += times(displacement, slide_z(d));
        anchors->x[d] = anchors->z[d] = 0;
      }
    }
  }
}

// Subtrees: first moment, second moment, bias force and torque of a link and everything that hangs on it.
typedef struct {
  real moment_x[BODIES], moment_z[BODIES], second_moment[BODIES], force_x[BODIES], force_z[BODIES], torque[BODIES];
} Subtrees;

// Sums from the leaves to the root, children in falling order and the link itself last, as the CPU's engine does.
#define ADD_OWN(sum, own) sum[b] = body_is_leaf(b) ? (own) : sum[b] + (own)
#define ADD_TO_PARENT(sum) sum[p] = body_is_last_child(b) ? sum[b] : sum[p] + sum[b]
DEVICE void sum_subtrees(const Frames *frames, Subtrees *sums) {
  UNROLLED for (int t = 0; t < BODIES; t++) {
    const int b = BODIES - 1 - t, p = body_parent(b) < 0 ? 0 : body_parent(b);
    const real mass = body_mass(b), square = frames->turn_rate[b] * frames->turn_rate[b];
    const real offset_x = turned_x(frames->sine[b], frames->cosine[b], mass_centre_x(b), mass_centre_z(b));
    const real offset_z = turned_z(frames->sine[b], frames->cosine[b], mass_centre_x(b), mass_centre_z(b));
    const real centre_x = frames->x[b] + offset_x, centre_z = frames->z[b] + offset_z;
    const real force_x = (frames->acceleration_x[b] - square * offset_x - (real)GRAVITY_X) * mass;
    const real force_z = (frames->acceleration_z[b] - square * offset_z - (real)GRAVITY_Z) * mass;
    ADD_OWN(sums->moment_x, centre_x * mass);
    ADD_OWN(sums->moment_z, centre_z * mass);
    ADD_OWN(sums->second_moment, (centre_x * centre_x + centre_z * centre_z) * mass + body_inertia(b));
    ADD_OWN(sums->force_x, force_x);
    ADD_OWN(sums->force_z, force_z);
    ADD_OWN(sums->torque, force_x * centre_z - force_z * centre_x);
    if (body_parent(b) >= 0) {
      ADD_TO_PARENT(sums->moment_x);
      ADD_TO_PARENT(sums->moment_z);
      ADD_TO_PARENT(sums->second_moment);
      ADD_TO_PARENT(sums->force_x);
      ADD_TO_PARENT(sums->force_z);
      ADD_TO_PARENT(sums->torque);
    }
  }
}

// a·x + b·z for constants a and b.
DEVICE real along(real a, real b, real x, real z) {
  return b == 0 ? times(x, a) : a == 0 ? times(z, b) : x * a + z * b;
}

// Row d of the mass matrix and the joint's bias force.
DEVICE real mass_row(const Subtrees *sums, const Anchors *anchors, int d, real mass[DOFS][DOFS]) {
  const int b = joint_body(d);
  const real total = subtree_mass(b), x = anchors->x[d], z = anchors->z[d];
  const real sign = hinge_sign(d);
  real momentum_x, momentum_z, bias;
  if (joint_slides(d)) {
    momentum_x = slide_x(d) * total;
    momentum_z = slide_z(d) * total;
    bias = along(slide_x(d), slide_z(d), sums->force_x[b], sums->force_z[b]);
  } else {
    momentum_x = times(sums->moment_z[b] - z * total, sign);
    momentum_z = times(x * total - sums->moment_x[b], sign);
    bias = times(sums->torque[b] - (sums->force_x[b] * z - sums->force_z[b] * x), sign);
  }
  UNROLLED for (int o = 0; o < DOFS; o++) {
    if (!(o <= d && on_chain(d, o))) continue;
    if (joint_slides(o)) {
      mass[d][o] = along(slide_x(o), slide_z(o), momentum_x, momentum_z);
    } else if (joint_slides(d)) {
      mass[d][o] = 0;
    } else {
      const real sum_x = anchors->x[o] + x, sum_z = anchors->z[o] + z;
      const real product = anchors->x[o] * x + anchors->z[o] * z;
      const real shifted = sums->second_moment[b] - (sums->moment_x[b] * sum_x + sums->moment_z[b] * sum_z) + product * total;
      mass[d][o] = times(shifted, hinge_sign(o) * sign);
    }
  }
  if (armature(d) != 0) mass[d][d] += armature(d);
  return bias;
}

// Writes the mass matrix and the force that does not come from constraints; `force` holds the motors' to begin with.
DEVICE void mass_and_force(const Frames *frames, const Anchors *anchors, const real position[DOFS], const real velocity[DOFS],
                           real mass[DOFS][DOFS], real force[DOFS]) {
  Subtrees sums;
  sum_subtrees(frames, &sums);
  UNROLLED for (int d = 0; d < DOFS; d++) {
    const real bias = mass_row(&sums, anchors, d, mass);
    force[d] += -times(position[d], stiffness(d)) - times(velocity[d], damping(d)) - bias;
  }
}
