// The acceleration under constraints, the minimum of ½ aᵀMa − fᵀa + ½ Σ weightᵢ·min(0, Jᵢa − referenceᵢ)², by Newton's method
// with an exact line search from the acceleration of the step before (planar/solver.rs, planar/constraints.rs).

// How far the acceleration is above what each row asks for.
DEVICE void measure(const Anchors *anchors, const real acceleration[DOFS], Limit limits[DOFS], Contact *contacts, int count) {
  UNROLLED for (int d = 0; d < DOFS; d++)
    if (joint_limited(d)) limits[d].residual = limits[d].sign * acceleration[d] - limits[d].reference;
  ROLLED for (int c = 0; c < count; c++) {
    real values[3];
    rows_times(&contacts[c], anchors, acceleration, values);
    UNROLLED for (int f = 0; f < 3; f++) contacts[c].residual[f] = values[f] - contacts[c].reference[f];
  }
}

// Adds the constraints' part of the gradient; returns the largest force of a row.
DEVICE real add_gradient(const Anchors *anchors, const Limit limits[DOFS], const Contact *contacts, int count,
                         real gradient[DOFS]) {
  real largest = 0;
  UNROLLED for (int d = 0; d < DOFS; d++) {
    if (!joint_limited(d)) continue;
    const real pull = where_negative(limits[d].weight, limits[d].residual) * limits[d].residual;
    gradient[d] += pull * limits[d].sign;
    largest = larger(largest, size_of(pull));
  }
  ROLLED for (int c = 0; c < count; c++) {
    const Contact *contact = &contacts[c];
    real pulls[3];
    UNROLLED for (int f = 0; f < 3; f++) {
      pulls[f] = where_negative(FACET_WEIGHT(contact, f), contact->residual[f]) * contact->residual[f];
      largest = larger(largest, size_of(pulls[f]));
    }
    const real along_normal = pulls[0] + pulls[1] + pulls[2];
    const real along_tangent = (pulls[0] - pulls[1]) * FRICTION_OF(contact);
    real normal[DOFS], tangent[DOFS];
    contact_rows(contact, anchors, normal, tangent);
    UNROLLED for (int k = 0; k < DOFS; k++) gradient[k] += normal[k] * along_normal + tangent[k] * along_tangent;
  }
  return largest;
}

// Adds the constraints' part of the Hessian, over the rows that push.
DEVICE void add_hessian(const Anchors *anchors, const Limit limits[DOFS], const Contact *contacts, int count,
                        real hessian[DOFS][DOFS]) {
  UNROLLED for (int d = 0; d < DOFS; d++)
    if (joint_limited(d)) hessian[d][d] += where_negative(limits[d].weight, limits[d].residual);
  ROLLED for (int c = 0; c < count; c++) {
    const Contact *contact = &contacts[c];
    real pushing[3], normal[DOFS], tangent[DOFS];
    UNROLLED for (int f = 0; f < 3; f++) pushing[f] = where_negative(FACET_WEIGHT(contact, f), contact->residual[f]);
    const real both = pushing[0] + pushing[1] + pushing[2];
    if (!(0 < both)) continue;
    const real mixed = (pushing[0] - pushing[1]) * FRICTION_OF(contact);
    const real sideways = (pushing[0] + pushing[1]) * FRICTION_SQUARE_OF(contact);
    contact_rows(contact, anchors, normal, tangent);
    UNROLLED for (int i = 0; i < DOFS; i++) {
      const real normal_part = normal[i] * both + tangent[i] * mixed;
      const real tangent_part = normal[i] * mixed + tangent[i] * sideways;
      UNROLLED for (int j = 0; j < DOFS; j++)
        if (j <= i && on_chain(i, j)) hessian[i][j] += normal[j] * normal_part + tangent[j] * tangent_part;
    }
  }
}

// The cost's first and second derivative at `length` along the measured slopes.
DEVICE void derivatives(const Limit limits[DOFS], const Contact *contacts, int count, real length, real *first, real *second) {
  UNROLLED for (int d = 0; d < DOFS; d++) {
    if (!joint_limited(d)) continue;
    const real moved = limits[d].residual + length * limits[d].slope;
    const real pull = where_negative(limits[d].weight, moved) * limits[d].slope;
    *first += pull * moved;
    *second += pull * limits[d].slope;
  }
  ROLLED for (int c = 0; c < count; c++) {
    const Contact *contact = &contacts[c];
    UNROLLED for (int f = 0; f < 3; f++) {
      const real moved = contact->residual[f] + length * contact->slope[f];
      const real pull = where_negative(FACET_WEIGHT(contact, f), moved) * contact->slope[f];
      *first += pull * moved;
      *second += pull * contact->slope[f];
    }
  }
}

// The length at which the cost is least: Newton's steps, and bisection where one leaves the bracket.
DEVICE real line_search(const Limit limits[DOFS], const Contact *contacts, int count, real slope, real curvature, real enough) {
  real length = 1, low = 0, high = INFINITE;
  ROLLED for (int step = 0; step < MAX_LINE_SEARCH; step++) {
    real first = slope + length * curvature, second = curvature;
    derivatives(limits, contacts, count, length, &first, &second);
    if (!(enough < size_of(first))) break;
    COUNT_WORK(2)
    if (first < 0) low = length;
    else high = length;
    const real newton = length - first / second, middle = (low + high) * (real)0.5;
    length = low < newton && newton < high ? newton : middle;
  }
  return length;
}

// The slopes of all residuals along a direction.
DEVICE void measure_slopes(const Anchors *anchors, const real direction[DOFS], Limit limits[DOFS], Contact *contacts, int count) {
  UNROLLED for (int d = 0; d < DOFS; d++) if (joint_limited(d)) limits[d].slope = limits[d].sign * direction[d];
  ROLLED for (int c = 0; c < count; c++) rows_times(&contacts[c], anchors, direction, contacts[c].slope);
}

// Moves all residuals by `length` times their slopes.
DEVICE void move_residuals(Limit limits[DOFS], Contact *contacts, int count, real length) {
  UNROLLED for (int d = 0; d < DOFS; d++) if (joint_limited(d)) limits[d].residual += length * limits[d].slope;
  ROLLED for (int c = 0; c < count; c++)
    UNROLLED for (int f = 0; f < 3; f++) contacts[c].residual[f] += length * contacts[c].slope[f];
}

// Replaces `acceleration`, the guess, by the minimum.
DEVICE void minimise(const Anchors *anchors, const real mass[DOFS][DOFS], const real force[DOFS], Limit limits[DOFS],
                     Contact *contacts, int count, real acceleration[DOFS]) {
  real pull[DOFS], force_scale = 0;
  multiply(mass, acceleration, pull);
  UNROLLED for (int k = 0; k < DOFS; k++) {
    force_scale = larger(larger(force_scale, size_of(force[k])), size_of(pull[k]));
    pull[k] -= force[k];
  }
  measure(anchors, acceleration, limits, contacts, count);
  ROLLED for (int iteration = 0; iteration < MAX_NEWTON_STEPS; iteration++) {
    real gradient[DOFS], direction[DOFS], mass_direction[DOFS], hessian[DOFS][DOFS], norm = 0;
    UNROLLED for (int k = 0; k < DOFS; k++) gradient[k] = pull[k];
    const real largest = add_gradient(anchors, limits, contacts, count, gradient);
    UNROLLED for (int k = 0; k < DOFS; k++) norm = larger(norm, size_of(gradient[k]));
    if (!(larger(force_scale, largest) * (real)SOLVER_TOLERANCE < norm)) break;
    COUNT_WORK(1)
    UNROLLED for (int i = 0; i < DOFS; i++)
      UNROLLED for (int j = 0; j < DOFS; j++) if (j <= i && on_chain(i, j)) hessian[i][j] = mass[i][j];
    add_hessian(anchors, limits, contacts, count, hessian);
    factor(hessian);
    UNROLLED for (int k = 0; k < DOFS; k++) direction[k] = -gradient[k];
    solve(hessian, direction);
    multiply(mass, direction, mass_direction);
    measure_slopes(anchors, direction, limits, contacts, count);
    const real enough = size_of(dot(gradient, direction)) * (real)LINE_TOLERANCE;
    const real length = line_search(limits, contacts, count, dot(pull, direction), dot(mass_direction, direction), enough);
    UNROLLED for (int k = 0; k < DOFS; k++) {
      acceleration[k] += length * direction[k];
      pull[k] += length * mass_direction[k];
    }
    move_residuals(limits, contacts, count, length);
  }
}
