//! Frames as files: PNG and animated GIF.

use super::canvas::Frame;
use std::io::Write;

/// A picture could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RenderError {
    /// The PNG encoder failed.
    #[error("cannot write the PNG: {0}")]
    Png(#[from] png::EncodingError),
    /// The GIF encoder failed.
    #[error("cannot write the GIF: {0}")]
    Gif(#[from] gif::EncodingError),
    /// A GIF cannot be this large.
    #[error("a GIF is at most 65535 pixels wide and high, not {width} × {height}")]
    TooLarge {
        /// Pixels in a row.
        width: usize,
        /// Rows.
        height: usize,
    },
}

/// Writes a frame as PNG.
///
/// # Errors
/// If the writer fails.
pub fn write_png(frame: &Frame, writer: impl Write) -> Result<(), RenderError> {
    let mut encoder = png::Encoder::new(writer, frame.width as u32, frame.height as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&frame.rgb)?;
    Ok(writer.finish()?)
}

/// Writes an animated GIF frame by frame; it plays for ever.
pub struct GifWriter<W: Write> {
    encoder: gif::Encoder<W>,
    delay: u16,
}

impl<W: Write> GifWriter<W> {
    /// A GIF of frames of this size, each shown for `seconds` (GIFs count hundredths, at least two).
    ///
    /// # Errors
    /// If the size does not fit a GIF or the writer fails.
    pub fn new(writer: W, width: usize, height: usize, seconds: f64) -> Result<Self, RenderError> {
        let too_large = |_| RenderError::TooLarge { width, height };
        let (columns, rows) = (
            u16::try_from(width).map_err(too_large)?,
            u16::try_from(height).map_err(too_large)?,
        );
        let mut encoder = gif::Encoder::new(writer, columns, rows, &[])?;
        encoder.set_repeat(gif::Repeat::Infinite)?;
        Ok(Self {
            encoder,
            delay: (seconds * 100.0).round().clamp(2.0, 6000.0) as u16,
        })
    }

    /// Adds a frame.
    ///
    /// # Errors
    /// If the writer fails.
    ///
    /// # Panics
    /// If the frame has another size than the GIF.
    pub fn push(&mut self, frame: &Frame) -> Result<(), RenderError> {
        let mut picture =
            gif::Frame::from_rgb_speed(frame.width as u16, frame.height as u16, &frame.rgb, 10);
        picture.delay = self.delay;
        Ok(self.encoder.write_frame(&picture)?)
    }
}
