//! Small grey images in labelled blocks, for instance digits before and after.

use std::path::{Path, PathBuf};

use crate::color::Color;
use crate::scene::{Rect, Scene, Text};
use crate::style::{INK, MARGIN, ROW, TEXT, WIDTH};
use crate::table::{Field, Table};
use crate::text::{self, Weight};
use crate::{PlotError, header, output};

/// Images under one label.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Block {
    /// What the images have in common; drawn above them.
    pub label: String,
    /// Grey values from 0 (paper) to 1 (ink), image after image, row by row.
    pub values: Vec<f32>,
}

/// Blocks of images of one size, below each other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tiles {
    /// What the figure shows.
    pub title: String,
    /// How it was made, in grey under the title.
    pub subtitle: String,
    /// Blocks, from the top.
    pub blocks: Vec<Block>,
    /// Height and width of an image in pixels.
    pub size: [usize; 2],
    /// Images side by side.
    pub columns: usize,
}

/// Shades that are told apart; neighbours of one shade are one mark.
const SHADES: f32 = 24.0;
/// White space between images, in shares of one.
const GAP: f64 = 0.12;

/// Draws the images and returns the files written: `STEM.svg`, `STEM.png` and `STEM.csv`.
///
/// The CSV has one row for each row of pixels, with the columns `block,image,row,values`; values lie apart by spaces.
///
/// # Errors
///
/// [`PlotError::Empty`] if there is no image, [`PlotError::Length`] if a block does not hold whole images,
/// [`PlotError::TooLarge`] if there are too many, [`PlotError::Io`] if a file cannot be written.
pub fn tiles(figure: &Tiles, stem: &Path) -> Result<Vec<PathBuf>, PlotError> {
    let scene = scene(figure)?;
    let [height, width] = figure.size;
    let mut table = Table::new("block,image,row,values");
    for block in &figure.blocks {
        for (at, line) in block.values.chunks_exact(width).enumerate() {
            let values: Vec<String> = line.iter().map(|v| format!("{v:.3}")).collect();
            table.row(&[
                Field::Words(&block.label),
                Field::Number((at / height) as f64),
                Field::Number((at % height) as f64),
                Field::Words(&values.join(" ")),
            ]);
        }
    }
    output::write(scene, table.finish(), stem)
}

fn check(figure: &Tiles) -> Result<(), PlotError> {
    let pixels = figure.size[0] * figure.size[1];
    if pixels == 0 || figure.blocks.iter().all(|block| block.values.is_empty()) {
        return Err(PlotError::Empty {
            figure: figure.title.clone(),
            reason: "it has no image".into(),
            hint: "Give it at least one block of images".into(),
        });
    }
    for block in &figure.blocks {
        let rest = block.values.len() % pixels;
        if rest > 0 {
            return Err(PlotError::Length {
                figure: figure.title.clone(),
                what: format!("the last image of {:?}", block.label),
                expected: pixels,
                found: rest,
            });
        }
    }
    Ok(())
}

/// Returns the laid out figure.
pub(crate) fn scene(figure: &Tiles) -> Result<Scene, PlotError> {
    check(figure)?;
    let [height, width] = figure.size;
    let columns = figure.columns.max(1);
    let mut scene = Scene::new(&figure.title, &figure.subtitle, WIDTH);
    let mut top = header::draw(&mut scene, "");
    let step = (WIDTH - 2.0 * MARGIN) / columns as f64;
    let side = step / (1.0 + GAP);
    let cell = side / width as f64;
    let tall = cell * height as f64;
    for block in &figure.blocks {
        for row in text::wrap(&block.label, Weight::Bold, TEXT, WIDTH - 2.0 * MARGIN, 2) {
            scene.text(Text::new([MARGIN, top + TEXT], &row, TEXT, INK).bold());
            top += ROW;
        }
        top += 3.0;
        let images = block.values.chunks_exact(height * width);
        let rows = images.len().div_ceil(columns);
        for (index, image) in images.enumerate() {
            let x = MARGIN + (index % columns) as f64 * step;
            let y = top + (index / columns) as f64 * (tall + step - side);
            draw_image(&mut scene, image, width, [x, y, cell]);
        }
        top += rows as f64 * (tall + step - side) + 10.0;
    }
    scene.height = top + MARGIN - 10.0;
    Ok(scene)
}

/// Draws an image at x and y with pixels of a side: a pale ground, then runs of one shade.
fn draw_image(scene: &mut Scene, image: &[f32], width: usize, [x, y, cell]: [f64; 3]) {
    let ground = Color::new(0xf4, 0xf4, 0xf4);
    let shade = |v: f32| {
        if v.is_finite() {
            (v.clamp(0.0, 1.0) * SHADES).round() as u32
        } else {
            0
        }
    };
    let height = image.len() / width;
    let all = Rect::new(x, y, x + cell * width as f64, y + cell * height as f64);
    scene.block(all, ground);
    for (row, line) in image.chunks_exact(width).enumerate() {
        let mut from = 0;
        while from < width {
            let now = shade(line[from]);
            let run = line[from..]
                .iter()
                .take_while(|&&v| shade(v) == now)
                .count();
            if now > 0 {
                let (left, up) = (x + from as f64 * cell, y + row as f64 * cell);
                let rect = Rect::new(left, up, left + run as f64 * cell, up + cell);
                scene.block(rect, INK.on_paper(f64::from(now) / f64::from(SHADES)));
            }
            from += run;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::Mark;

    fn figure() -> Tiles {
        let block = |label: &str, images: usize| Block {
            label: label.into(),
            values: [0.0, 1.0, 1.0, 0.5, 0.5, 0.0].repeat(images),
        };
        Tiles {
            title: "Digits".into(),
            subtitle: "before and after".into(),
            blocks: vec![block("before", 5), block("after, exact", 3)],
            size: [2, 3],
            columns: 4,
        }
    }

    /// Every image has its ground and its runs; rows of blocks lie below each other and inside.
    #[test]
    fn images_lie_in_their_blocks() {
        let scene = scene(&figure()).expect("a scene");
        let rects: Vec<_> = scene
            .marks
            .iter()
            .filter_map(|mark| match mark {
                Mark::Block { rect, .. } => Some(*rect),
                _ => None,
            })
            .collect();
        // A ground, a run of two, a run of two: three marks each.
        assert_eq!(rects.len(), 3 * 8);
        assert!(
            rects
                .iter()
                .all(|r| r.right <= scene.width && r.bottom <= scene.height)
        );
        assert!((rects[1].width() - 2.0 * rects[0].width() / 3.0).abs() < 1e-9);
        assert!(rects[3 * 4].top > rects[0].bottom, "a second row");
        assert!(rects[3 * 5].top > rects[3 * 4].bottom, "a second block");
    }

    #[test]
    fn files_are_written_and_half_images_are_refused() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let files = tiles(&figure(), &folder.path().join("digits")).expect("drawn");
        let csv = std::fs::read_to_string(&files[2]).expect("written");
        assert_eq!(csv.lines().count(), 1 + 2 * 8);
        assert!(
            csv.contains("\"after, exact\",2.0,1.0,0.500 0.500 0.000"),
            "{csv}"
        );
        let mut half = figure();
        half.blocks[0].values.pop();
        assert!(tiles(&half, &folder.path().join("half")).is_err());
        half.blocks.clear();
        assert!(tiles(&half, &folder.path().join("none")).is_err());
    }
}
