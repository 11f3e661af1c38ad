//! Frames as files: PNG and animated GIF.

use super::canvas::Frame;
use std::collections::BTreeMap;
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
        /// Rows of pixels.
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

/// Writes an animated GIF frame by frame; it plays for ever. A frame is stored as the rectangle that changed, in its exact
/// colours where a GIF's 256 suffice.
pub struct GifWriter<W: Write> {
    encoder: gif::Encoder<W>,
    delay: u16,
    size: [usize; 2],
    last: Option<Frame>,
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
            size: [width, height],
            last: None,
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
        assert_eq!([frame.width, frame.height], self.size, "size of the frame");
        let [left, top, right, bottom] = match &self.last {
            Some(last) => changed(last, frame),
            None => [0, 0, frame.width, frame.height],
        };
        let mut part = Vec::new();
        for row in top..bottom {
            let start = 3 * (row * frame.width + left);
            part.extend_from_slice(&frame.rgb[start..start + 3 * (right - left)]);
        }
        let mut picture = encode(&part, (right - left) as u16, (bottom - top) as u16);
        (picture.left, picture.top) = (left as u16, top as u16);
        picture.delay = self.delay;
        picture.dispose = gif::DisposalMethod::Keep;
        self.last = Some(frame.clone());
        Ok(self.encoder.write_frame(&picture)?)
    }
}

/// The smallest rectangle [left, top, right, bottom) that holds every pixel that differs; one pixel if none does.
fn changed(last: &Frame, frame: &Frame) -> [usize; 4] {
    let [mut left, mut top, mut right, mut bottom] = [frame.width, frame.height, 0, 0];
    let pixels = last.rgb.chunks_exact(3).zip(frame.rgb.chunks_exact(3));
    for (index, _) in pixels.enumerate().filter(|(_, (a, b))| a != b) {
        let (column, row) = (index % frame.width, index / frame.width);
        (left, right) = (left.min(column), right.max(column + 1));
        (top, bottom) = (top.min(row), bottom.max(row + 1));
    }
    if right == 0 {
        [0, 0, 1, 1]
    } else {
        [left, top, right, bottom]
    }
}

/// A GIF's picture of RGB pixels: in exact colours if there are at most 256. Else the channels' lowest bits are ignored, as
/// few as it takes, and the most frequent colour of those that fall together stands for all, so flat areas keep theirs.
fn encode(rgb: &[u8], width: u16, height: u16) -> gif::Frame<'static> {
    let mut counts: BTreeMap<[u8; 3], usize> = BTreeMap::new();
    let pixels = || rgb.chunks_exact(3).map(|p| [p[0], p[1], p[2]]);
    pixels().for_each(|pixel| *counts.entry(pixel).or_default() += 1);
    for ignored_bits in 0..8 {
        let key = |colour: [u8; 3]| colour.map(|channel| channel >> ignored_bits);
        let mut groups: BTreeMap<[u8; 3], ([u8; 3], usize)> = BTreeMap::new();
        for (&colour, &count) in &counts {
            let group = groups.entry(key(colour)).or_insert((colour, 0));
            if count > group.1 {
                *group = (colour, count);
            }
        }
        if groups.len() > 256 {
            continue;
        }
        let place: BTreeMap<[u8; 3], u8> = groups.keys().copied().zip(0..=255).collect();
        let indices: Vec<u8> = pixels().map(|pixel| place[&key(pixel)]).collect();
        let palette: Vec<u8> = groups.values().flat_map(|group| group.0).collect();
        return gif::Frame::from_palette_pixels(width, height, indices, palette, None);
    }
    unreachable!("one bit a channel leaves eight colours")
}
