//! Pictures of environments without a GPU: a scene of capsules and rectangles, drawn with smooth edges to RGB frames,
//! written as PNG and animated GIF. The same scene gives the same bytes.

mod canvas;
mod files;
mod scene;

pub use canvas::{Frame, draw};
pub use files::{GifWriter, RenderError, write_png};
pub use scene::palette as scene_palette;
pub use scene::{Colour, Scene, Shape};
