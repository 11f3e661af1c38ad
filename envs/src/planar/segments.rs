//! Where two capsules of the same robot are nearest, by MuJoCo's rule (`mjraw_CapsuleCapsule`).
//!
//! Lines that are not parallel meet in one contact between the nearest points of the two segments; parallel ones in up
//! to two, at the segments' ends. Two axes that cross have no normal in the plane: such a contact pushes nothing.

use super::kinematics::{Kinematics, Vector};
use super::lanes::{Lanes, Real};
use super::model::{Capsule, SelfContact};

/// A contact between two capsules.
#[derive(Clone, Copy)]
pub struct Touch<const L: usize, T: Real = f64> {
    /// Distance of the surfaces, m; negative is overlap, infinite where there is no contact.
    pub distance: Lanes<L, T>,
    /// Unit vector from the first capsule to the second.
    pub normal: Vector<L, T>,
    /// Half way between the surfaces, m.
    pub point: Vector<L, T>,
}

/// The contacts of a pair (the second is used by parallel capsules only); `None` if no lane comes near.
#[inline(always)]
pub fn nearest_points<const N: usize, const L: usize, T: Real>(
    kinematics: &Kinematics<N, L, T>,
    pair: &SelfContact,
) -> Option<[Touch<L, T>; 2]> {
    let first = place(kinematics, &pair.first);
    let second = place(kinematics, &pair.second);
    let between = [
        second.centre[0] - first.centre[0],
        second.centre[1] - first.centre[1],
    ];
    let reach = pair.reach();
    let square = between[0] * between[0] + between[1] * between[1];
    if !square.any_below(Lanes::splat(reach * reach)) {
        return None;
    }
    let far = Touch {
        distance: Lanes::splat(f64::INFINITY),
        normal: [Lanes::ZERO; 2],
        point: [Lanes::ZERO; 2],
    };
    let mut touches = [far; 2];
    for lane in 0..L {
        let pick = |segment: &Placed<L, T>| Segment {
            centre: segment.centre.map(|c| c.0[lane].to_f64()),
            axis: segment.axis.map(|c| c.0[lane].to_f64()),
            half_length: segment.half_length,
            radius: segment.radius,
        };
        let found = touch_segments(&pick(&first), &pick(&second), pair.pair.margin);
        for (touch, found) in touches.iter_mut().zip(found) {
            let Some(found) = found else { continue };
            touch.distance.0[lane] = T::of(found.distance);
            for k in 0..2 {
                touch.normal[k].0[lane] = T::of(found.normal[k]);
                touch.point[k].0[lane] = T::of(found.point[k]);
            }
        }
    }
    Some(touches)
}

impl SelfContact {
    /// The distance of the capsules' centres from which on they cannot touch.
    #[inline(always)]
    pub(crate) fn reach(&self) -> f64 {
        let radii = self.first.radius + self.second.radius + self.pair.margin;
        self.first.half_length + self.second.half_length + radii
    }
}

struct Placed<const L: usize, T: Real = f64> {
    centre: Vector<L, T>,
    axis: Vector<L, T>,
    half_length: f64,
    radius: f64,
}

#[inline(always)]
fn place<const N: usize, const L: usize, T: Real>(
    kinematics: &Kinematics<N, L, T>,
    capsule: &Capsule,
) -> Placed<L, T> {
    let frame = &kinematics.frames[capsule.body];
    let offset = frame.turn(capsule.centre);
    Placed {
        centre: [frame.origin[0] + offset[0], frame.origin[1] + offset[1]],
        axis: frame.turn(capsule.axis),
        half_length: capsule.half_length,
        radius: capsule.radius,
    }
}

/// One lane's capsule.
struct Segment {
    centre: [f64; 2],
    axis: [f64; 2],
    half_length: f64,
    radius: f64,
}

/// One lane's contact.
struct Found {
    distance: f64,
    normal: [f64; 2],
    point: [f64; 2],
}

/// Two axes are parallel where the determinant of their equations, 1 − cos², is smaller than this.
pub(crate) const PARALLEL: f64 = 1e-15;

fn touch_segments(first: &Segment, second: &Segment, margin: f64) -> [Option<Found>; 2] {
    let between = [
        first.centre[0] - second.centre[0],
        first.centre[1] - second.centre[1],
    ];
    let cosine = -dot(first.axis, second.axis);
    let (u, v) = (-dot(first.axis, between), dot(second.axis, between));
    let determinant = 1.0 - cosine * cosine;
    if determinant.abs() >= PARALLEL {
        let mut along_first = (u - cosine * v) / determinant;
        let mut along_second = (v - cosine * u) / determinant;
        if along_first.abs() > first.half_length {
            along_first = first.half_length.copysign(along_first);
            along_second = v - cosine * along_first;
        }
        if along_second.abs() > second.half_length {
            along_second = second.half_length.copysign(along_second);
            along_first = (u - cosine * along_second).clamp(-first.half_length, first.half_length);
        }
        return [
            touch_spheres(first, second, along_first, along_second, margin),
            None,
        ];
    }
    // Parallel: the ends of the first against the second, then the ends of the second against the first.
    let mut found = [None, None];
    let mut count = 0;
    for end in [
        first.half_length,
        -first.half_length,
        second.half_length,
        -second.half_length,
    ]
    .iter()
    .enumerate()
    .map(|(k, &end)| {
        if k < 2 {
            (end, v - cosine * end)
        } else {
            (u - cosine * end, end)
        }
    }) {
        let inside = end.0.abs() <= first.half_length && end.1.abs() <= second.half_length;
        if count < 2 && inside {
            found[count] = touch_spheres(first, second, end.0, end.1, margin);
            count += usize::from(found[count].is_some());
        }
    }
    found
}

fn touch_spheres(
    first: &Segment,
    second: &Segment,
    along_first: f64,
    along_second: f64,
    margin: f64,
) -> Option<Found> {
    let at = |segment: &Segment, along: f64| {
        [
            segment.centre[0] + along * segment.axis[0],
            segment.centre[1] + along * segment.axis[1],
        ]
    };
    let (a, b) = (at(first, along_first), at(second, along_second));
    let between = [b[0] - a[0], b[1] - a[1]];
    let length = dot(between, between).sqrt();
    let distance = length - first.radius - second.radius;
    if distance >= margin || length < PARALLEL {
        return None;
    }
    let normal = [between[0] / length, between[1] / length];
    let depth = first.radius + 0.5 * distance;
    let point = [a[0] + depth * normal[0], a[1] + depth * normal[1]];
    Some(Found {
        distance,
        normal,
        point,
    })
}

fn dot(a: [f64; 2], b: [f64; 2]) -> f64 {
    a[0] * b[0] + a[1] * b[1]
}
