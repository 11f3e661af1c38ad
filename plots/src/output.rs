//! Writes a figure: each file is written beside its place, synced and renamed.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::scene::{Mark, Rect, Scene};
use crate::{PlotError, raster, style, vector};

static WRITTEN: AtomicU64 = AtomicU64::new(0);

/// Writes `STEM.svg`, `STEM.png` and `STEM.csv` and returns their paths in this order. A missing folder is made.
pub(crate) fn write(
    mut scene: Scene,
    table: String,
    stem: &Path,
) -> Result<Vec<PathBuf>, PlotError> {
    (scene.width, scene.height) = (scene.width.ceil(), scene.height.ceil());
    if scene.width > style::WIDTH_LIMIT || scene.height > style::HEIGHT_LIMIT {
        return Err(PlotError::TooLarge {
            figure: scene.title,
            width: scene.width as usize,
            height: scene.height as usize,
            width_limit: style::WIDTH_LIMIT as usize,
            height_limit: style::HEIGHT_LIMIT as usize,
        });
    }
    let rect = Rect::new(0.0, 0.0, scene.width, scene.height);
    scene.marks.insert(
        0,
        Mark::Block {
            rect,
            color: style::PAPER,
        },
    );
    let files = [
        ("svg", vector::svg(&scene)?.into_bytes()),
        ("png", raster::png(&scene)?),
        ("csv", table.into_bytes()),
    ];
    let folder = stem
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let name = stem.file_name().ok_or_else(|| PlotError::Stem {
        path: stem.to_owned(),
    })?;
    fs::create_dir_all(folder).map_err(|source| PlotError::Io {
        action: "make the folder",
        path: folder.to_owned(),
        source,
    })?;
    files
        .iter()
        .map(|(extension, bytes)| put(folder, name, extension, bytes))
        .collect()
}

/// Writes one file and returns its path.
fn put(
    folder: &Path,
    name: &std::ffi::OsStr,
    extension: &str,
    bytes: &[u8],
) -> Result<PathBuf, PlotError> {
    let named = |end: &str| {
        let mut file: OsString = name.to_owned();
        file.push(end);
        folder.join(file)
    };
    let path = named(&format!(".{extension}"));
    let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
    let temporary = named(&format!(".{extension}.{}-{number}.tmp", std::process::id()));
    let written = File::create(&temporary)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&temporary, &path));
    match written {
        Ok(()) => Ok(path),
        Err(source) => {
            fs::remove_file(&temporary).ok();
            Err(PlotError::Io {
                action: "write",
                path,
                source,
            })
        }
    }
}
