//! Draws a scene: each pixel's colour is blended by how much of it a shape covers, from the distance to its edge.

use super::scene::{Colour, Scene, Shape, palette};

/// A picture, rows from the top, three bytes a pixel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Pixels in a row.
    pub width: usize,
    /// Rows of pixels.
    pub height: usize,
    /// Red, green, blue of each pixel.
    pub rgb: Vec<u8>,
}

/// Draws a scene at this size in pixels.
pub fn draw(scene: &Scene, width: usize, height: usize) -> Frame {
    let mut frame = Frame {
        width,
        height,
        rgb: palette::BACKGROUND.repeat(width * height),
    };
    let metres_per_pixel = (scene.size[0] / width as f64).max(scene.size[1] / height as f64);
    for shape in &scene.shapes {
        draw_shape(&mut frame, scene, shape, metres_per_pixel);
    }
    frame
}

fn draw_shape(frame: &mut Frame, scene: &Scene, shape: &Shape, metres_per_pixel: f64) {
    let (low, high, colour) = bounds(shape);
    let left = scene.centre[0] - 0.5 * frame.width as f64 * metres_per_pixel;
    let top = scene.centre[1] + 0.5 * frame.height as f64 * metres_per_pixel;
    let column = |x: f64| ((x - left) / metres_per_pixel).floor();
    let row = |y: f64| ((top - y) / metres_per_pixel).floor();
    let range = |first: f64, last: f64, size: usize| {
        let clip = |x: f64| x.clamp(0.0, size as f64) as usize;
        clip(first - 1.0)..clip(last + 2.0)
    };
    for y in range(row(high[1]), row(low[1]), frame.height) {
        for x in range(column(low[0]), column(high[0]), frame.width) {
            let point = [
                left + (x as f64 + 0.5) * metres_per_pixel,
                top - (y as f64 + 0.5) * metres_per_pixel,
            ];
            let coverage = (0.5 - distance(shape, point) / metres_per_pixel).clamp(0.0, 1.0);
            let pixel = &mut frame.rgb[3 * (y * frame.width + x)..][..3];
            for (channel, &target) in pixel.iter_mut().zip(&colour) {
                let blended =
                    f64::from(*channel) + coverage * (f64::from(target) - f64::from(*channel));
                *channel = blended.round() as u8;
            }
        }
    }
}

fn bounds(shape: &Shape) -> ([f64; 2], [f64; 2], Colour) {
    match *shape {
        Shape::Capsule {
            from,
            to,
            radius,
            colour,
        } => (
            [from[0].min(to[0]) - radius, from[1].min(to[1]) - radius],
            [from[0].max(to[0]) + radius, from[1].max(to[1]) + radius],
            colour,
        ),
        Shape::Rectangle {
            centre,
            half_size,
            colour,
        } => (
            [centre[0] - half_size[0], centre[1] - half_size[1]],
            [centre[0] + half_size[0], centre[1] + half_size[1]],
            colour,
        ),
    }
}

/// Signed distance of a point to a shape's edge, m; negative inside.
fn distance(shape: &Shape, point: [f64; 2]) -> f64 {
    match *shape {
        Shape::Capsule {
            from, to, radius, ..
        } => {
            let along = [to[0] - from[0], to[1] - from[1]];
            let offset = [point[0] - from[0], point[1] - from[1]];
            let square = along[0] * along[0] + along[1] * along[1];
            let share = if square > 0.0 {
                ((along[0] * offset[0] + along[1] * offset[1]) / square).clamp(0.0, 1.0)
            } else {
                0.0
            };
            libm::hypot(offset[0] - share * along[0], offset[1] - share * along[1]) - radius
        }
        Shape::Rectangle {
            centre, half_size, ..
        } => {
            let beyond = [0, 1].map(|k| (point[k] - centre[k]).abs() - half_size[k]);
            let outside = libm::hypot(beyond[0].max(0.0), beyond[1].max(0.0));
            outside + beyond[0].max(beyond[1]).min(0.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disc_covers_the_middle_and_leaves_the_corners() {
        let red = [255, 0, 0];
        let disc = Shape::Capsule {
            from: [1.0, 2.0],
            to: [1.0, 2.0],
            radius: 0.25,
            colour: red,
        };
        let scene = Scene {
            centre: [1.0, 2.0],
            size: [1.0; 2],
            shapes: vec![disc],
        };
        let frame = draw(&scene, 21, 21);
        assert_eq!(frame.rgb[3 * (10 * 21 + 10)..][..3], red);
        assert_eq!(frame.rgb[..3], palette::BACKGROUND);
        let area = frame.rgb.chunks(3).filter(|pixel| pixel[1] < 128).count() as f64;
        assert!(
            (area / 441.0 - std::f64::consts::PI / 16.0).abs() < 0.02,
            "{area}"
        );
    }

    #[test]
    fn up_in_the_world_is_up_in_the_picture() {
        let blue = [0, 0, 255];
        let roof = Shape::Rectangle {
            centre: [0.0, 1.0],
            half_size: [5.0, 0.5],
            colour: blue,
        };
        let frame = draw(
            &Scene {
                centre: [0.0, 0.0],
                size: [2.0; 2],
                shapes: vec![roof],
            },
            8,
            8,
        );
        assert_eq!(frame.rgb[..3], blue);
        assert_eq!(frame.rgb[3 * 8 * 7..][..3], palette::BACKGROUND);
    }
}
