// A ball in a maze of square walls (classic/point_maze.rs, planar/ball.rs), as a system of systems.h: the engine's solver, whose
// contacts are walls and touch without friction. The rows: position, velocity, guess, two numbers each.

// A wall that is touched; of the three rows of a contact only the normal's has a weight.
typedef struct {
  real normal_x, normal_z, normal_weight;
  real reference[3], residual[3], slope[3];
} Contact;

// No joint has a limit and nothing turns.
typedef struct {
  real sign, weight, reference, residual, slope;
} Limit;
typedef struct {
  int none;
} Anchors;

#define FRICTION_OF(contact) ((real)0)
#define FRICTION_SQUARE_OF(contact) ((real)0)
#define FACET_WEIGHT(contact, facet) ((facet) == 2 ? (contact)->normal_weight : (real)0)

DEVICE void contact_rows(const Contact *contact, const Anchors *anchors, real normal[DOFS], real tangent[DOFS]) {
  (void)anchors;
  normal[0] = contact->normal_x;
  normal[1] = contact->normal_z;
  tangent[0] = tangent[1] = 0;
}

DEVICE void rows_times(const Contact *contact, const Anchors *anchors, const real vector[DOFS], real out[3]) {
  (void)anchors;
  real along_normal = 0;
  along_normal += contact->normal_x * vector[0];
  along_normal += contact->normal_z * vector[1];
  out[0] = out[1] = out[2] = along_normal;
}
