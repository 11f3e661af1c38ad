//! What a picture shows: shapes in metres, back to front, and which part of the plane is seen.

/// Red, green and blue, 0 … 255.
pub type Colour = [u8; 3];

/// A shape in the world's plane, metres.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    /// All points within `radius` of the segment; a disc if its ends are equal.
    Capsule {
        /// One end, m.
        from: [f64; 2],
        /// The other end, m.
        to: [f64; 2],
        /// Distance from the segment that is still inside, m.
        radius: f64,
        /// Red, green and blue of its inside.
        colour: Colour,
    },
    /// An upright rectangle.
    Rectangle {
        /// Its centre, m.
        centre: [f64; 2],
        /// Half its width and height, m.
        half_size: [f64; 2],
        /// Red, green and blue of its inside.
        colour: Colour,
    },
}

/// A picture to be drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Scene {
    /// The point in the middle of the picture, m.
    pub centre: [f64; 2],
    /// Width and height that are seen at least, m.
    pub size: [f64; 2],
    /// The shapes, back to front.
    pub shapes: Vec<Shape>,
}

/// The colours that the scenes share.
pub mod palette {
    use super::Colour;
    /// Sky or paper.
    pub const BACKGROUND: Colour = [245, 247, 250];
    /// Floor tiles and walls, dark.
    pub const FLOOR: Colour = [172, 181, 193];
    /// Floor tiles, light.
    pub const FLOOR_LIGHT: Colour = [205, 211, 219];
    /// The robot's trunk.
    pub const BODY: Colour = [214, 123, 45];
    /// Limbs, one after another.
    pub const LIMBS: [Colour; 6] = [
        [58, 110, 165],
        [88, 140, 190],
        [125, 170, 210],
        [160, 70, 90],
        [190, 105, 120],
        [215, 145, 155],
    ];
    /// Where a task wants something to be.
    pub const GOAL: Colour = [92, 171, 100];
}
