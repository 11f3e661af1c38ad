//! Rows of numbers, as many as a file has.

use std::io;
use std::ops::{Index, IndexMut};

use ndarray::{Array2, ArrayView1, ArrayView2, ArrayViewMut2, ShapeBuilder};

use super::scratch::Floats;

/// A matrix of f32, row-major, that lies in memory, or, where it is large, in a scratch file (see [`ReadOptions`](super::ReadOptions)).
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    values: Floats,
    width: usize,
}

impl Matrix {
    /// Returns the row-major `values` as rows of `width` numbers.
    ///
    /// # Panics
    /// When `values` are no whole rows, or `width` is 0.
    pub fn new(values: impl Into<Floats>, width: usize) -> Self {
        let values = values.into();
        assert!(
            width > 0 && values.len().is_multiple_of(width),
            "whole rows of {width} numbers"
        );
        Self { values, width }
    }

    /// Returns `[rows, columns]`.
    pub fn dim(&self) -> (usize, usize) {
        (self.nrows(), self.width)
    }

    /// Returns the number of rows.
    pub fn nrows(&self) -> usize {
        self.values.len() / self.width
    }

    /// Returns the number of columns.
    pub fn ncols(&self) -> usize {
        self.width
    }

    /// Returns the numbers, row after row.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Returns the numbers, row after row, where they are; nothing is copied.
    pub fn into_values(self) -> Floats {
        self.values
    }

    /// Returns all of it, for ndarray's methods.
    pub fn view(&self) -> ArrayView2<'_, f32> {
        match ArrayView2::from_shape(self.dim(), self.values()) {
            Ok(view) => view,
            Err(_) => unreachable!("it is made of whole rows"),
        }
    }

    /// Returns all of it, to be changed by ndarray's methods.
    pub fn view_mut(&mut self) -> ArrayViewMut2<'_, f32> {
        match ArrayViewMut2::from_shape(self.dim(), &mut self.values) {
            Ok(view) => view,
            Err(_) => unreachable!("it is made of whole rows"),
        }
    }

    /// Returns one row.
    pub fn row(&self, row: usize) -> ArrayView1<'_, f32> {
        self.values[row * self.width..(row + 1) * self.width].into()
    }

    /// Returns one column.
    pub fn column(&self, column: usize) -> ArrayView1<'_, f32> {
        let shape = (self.nrows()).strides(self.width);
        match ArrayView1::from_shape(shape, &self.values[column..]) {
            Ok(view) => view,
            Err(_) => unreachable!("it is made of whole rows"),
        }
    }

    /// Returns the numbers, row after row.
    pub fn iter(&self) -> std::slice::Iter<'_, f32> {
        self.values.iter()
    }

    /// Moves the rows at `rows` (ascending) to the front and gives back the rest.
    pub(super) fn compact(mut self, rows: &[usize]) -> Self {
        self.values.compact(rows, self.width);
        self
    }

    /// Returns the rows at `rows`, in that order.
    pub(super) fn gather(&self, rows: &[usize]) -> Self {
        Self {
            values: self.values.gather(rows, self.width),
            width: self.width,
        }
    }

    /// Puts the rows of `other`, which are as wide, below these.
    ///
    /// # Errors
    /// When there is no memory or no room on the disk.
    pub(super) fn append(&mut self, other: &Self, in_memory: usize) -> io::Result<()> {
        self.values.append(&other.values, in_memory)
    }
}

impl From<Array2<f32>> for Matrix {
    fn from(array: Array2<f32>) -> Self {
        let width = array.ncols();
        let values = match array.is_standard_layout() {
            true => array.into_raw_vec_and_offset().0,
            false => array.iter().copied().collect(),
        };
        Self::new(values, width)
    }
}

impl<'a> IntoIterator for &'a Matrix {
    type Item = &'a f32;
    type IntoIter = std::slice::Iter<'a, f32>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Index<[usize; 2]> for Matrix {
    type Output = f32;

    fn index(&self, [row, column]: [usize; 2]) -> &f32 {
        assert!(column < self.width, "column {column} of {}", self.width);
        &self.values[row * self.width + column]
    }
}

impl IndexMut<[usize; 2]> for Matrix {
    fn index_mut(&mut self, [row, column]: [usize; 2]) -> &mut f32 {
        assert!(column < self.width, "column {column} of {}", self.width);
        &mut self.values[row * self.width + column]
    }
}
