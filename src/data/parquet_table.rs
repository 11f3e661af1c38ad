//! Parquet: a row per timestep; columns of numbers, or of lists that have the same length in every row.
//!
//! The reader is in builds with the feature `parquet`; the others recognise the files and say so.

use std::path::Path;

use super::dataset::Dataset;
use super::error::DataError;
use super::faults::Faults;
use super::options::ReadOptions;

pub(super) const NAME: &str = "Parquet";

pub(super) fn recognises(_path: &Path, head: &[u8]) -> bool {
    head.starts_with(b"PAR1")
}

/// Says what brings the reader.
///
/// # Errors
/// Always.
#[cfg(not(feature = "parquet"))]
pub(super) fn read(path: &Path, _options: &ReadOptions) -> Result<Dataset, DataError> {
    let reason = "this build reads no Parquet. Hint: build it with `cargo build --release --features parquet`, or write the \
                  table as CSV or npz (pandas: read_parquet, then to_csv)";
    Err(Faults { path, format: NAME }.of(reason))
}

/// Reads a file a column and a batch of rows at a time.
///
/// # Errors
/// [`DataError::Format`] for damage, missing values, other types than numbers and bool, lists of different lengths, and where it
/// is not clear which columns are what; else as for D4RL's layout.
#[cfg(feature = "parquet")]
pub(super) fn read(path: &Path, options: &ReadOptions) -> Result<Dataset, DataError> {
    reader::read(&Faults { path, format: NAME }, options)
}

#[cfg(feature = "parquet")]
mod reader {
    use parquet::basic::{ConvertedType, LogicalType, Type};
    use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
    use parquet::data_type::DataType;
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::schema::types::ColumnDescriptor;

    use super::super::tabular::{Place, Table};
    use super::{DataError, Dataset, Faults, ReadOptions};

    /// Rows that are decoded at a time.
    const BATCH: usize = 8192;

    /// A column of the table, and its number among the leaves of the schema.
    struct Leaf {
        name: String,
        width: usize,
        whole: bool,
        unsigned: bool,
        numbers: bool,
    }

    pub(super) fn read(faults: &Faults<'_>, options: &ReadOptions) -> Result<Dataset, DataError> {
        let path = faults.path;
        let file =
            std::fs::File::open(path).map_err(|source| DataError::io(path, "open", source))?;
        let damaged = |error: parquet::errors::ParquetError| {
            faults.of(format!(
                "it is damaged, or packed in a way that this reader lacks (it has gzip and snappy): {error}"
            ))
        };
        let file = SerializedFileReader::new(file).map_err(damaged)?;
        let (leaves, rows) = leaves(&file);
        let names: Vec<String> = leaves.iter().map(|leaf| leaf.name.clone()).collect();
        let widths: Vec<usize> = leaves.iter().map(|leaf| leaf.width).collect();
        let mut table = Table::new(*faults, names, &widths, rows, options.in_memory)?;
        for (leaf, place) in leaves.iter().zip(&table.places) {
            leaf.check(*place, faults)?;
        }
        // Every column of some rows, then the next rows: what is filled stays close together.
        let mut filled = vec![Filled::default(); leaves.len()];
        for group in 0..file.num_row_groups() {
            let group = file.get_row_group(group).map_err(damaged)?;
            for (at, leaf) in leaves.iter().enumerate() {
                let place = table.places[at];
                if matches!(place, Place::Unused) {
                    continue;
                }
                let found = group.get_column_reader(at).map_err(damaged)?;
                let mut column = Column {
                    faults,
                    leaf,
                    place,
                    table: &mut table,
                    filled: &mut filled[at],
                };
                column.group(found, damaged)?;
            }
        }
        for ((leaf, place), filled) in leaves.iter().zip(&table.places).zip(&filled) {
            if !matches!(place, Place::Unused) && filled.rows != rows {
                return Err(faults.of(format!(
                    "column `{}` has {} rows of {rows}",
                    leaf.name, filled.rows
                )));
            }
        }
        table.into_dataset(rows, options)
    }

    impl Leaf {
        fn check(&self, place: Place, faults: &Faults<'_>) -> Checked<()> {
            let wrong = match place {
                Place::Array(..) if !self.numbers => "holds no numbers and no flags",
                Place::Array(..) | Place::Episode if self.width == 0 => {
                    "holds lists of different lengths, or structures"
                }
                Place::Episode if !self.whole => {
                    "numbers the episodes, but does not hold whole numbers"
                }
                _ => return Ok(()),
            };
            Err(faults.of(format!("column `{}` {wrong}", self.name)))
        }
    }

    fn leaves(file: &SerializedFileReader<std::fs::File>) -> (Vec<Leaf>, usize) {
        let metadata = file.metadata();
        let rows = usize::try_from(metadata.file_metadata().num_rows()).unwrap_or(0);
        let groups = metadata.row_groups();
        let of = |(at, column): (usize, &std::sync::Arc<ColumnDescriptor>)| {
            let parts = column.path().parts();
            let lists = column.max_rep_level();
            let values: i64 = groups
                .iter()
                .map(|group| group.column(at).num_values())
                .sum();
            let values = usize::try_from(values).unwrap_or(0);
            let even = lists < 2 && rows > 0 && values.is_multiple_of(rows);
            let (kind, unsigned) = (column.physical_type(), unsigned(column));
            let plain = unsigned.is_some();
            Leaf {
                name: if lists == 0 {
                    parts.join(".")
                } else {
                    parts[0].clone()
                },
                width: if even { values / rows } else { 0 },
                whole: plain && matches!(kind, Type::INT32 | Type::INT64),
                unsigned: unsigned == Some(true),
                numbers: plain
                    && !matches!(
                        kind,
                        Type::INT96 | Type::BYTE_ARRAY | Type::FIXED_LEN_BYTE_ARRAY
                    ),
            }
        };
        let columns = metadata.file_metadata().schema_descr().columns();
        (columns.iter().enumerate().map(of).collect(), rows)
    }

    /// Whether the numbers are unsigned; `None` where they stand for something else, as dates do.
    fn unsigned(column: &ColumnDescriptor) -> Option<bool> {
        use ConvertedType as C;
        match column.logical_type_ref() {
            None | Some(LogicalType::Integer { .. }) => {}
            Some(_) => return None,
        }
        match column.converted_type() {
            C::NONE | C::INT_8 | C::INT_16 | C::INT_32 | C::INT_64 => Some(false),
            C::UINT_8 | C::UINT_16 | C::UINT_32 | C::UINT_64 => Some(true),
            _ => None,
        }
    }

    /// Rows of a column that are in the table, and the last number of them.
    #[derive(Clone, Default)]
    struct Filled {
        rows: usize,
        last: f64,
    }

    /// A column on its way into the table.
    struct Column<'a, 'b> {
        faults: &'a Faults<'b>,
        leaf: &'a Leaf,
        place: Place,
        table: &'a mut Table<'b>,
        filled: &'a mut Filled,
    }

    type Checked<T> = Result<T, DataError>;

    impl Column<'_, '_> {
        fn group(
            &mut self,
            reader: ColumnReader,
            damaged: impl Fn(parquet::errors::ParquetError) -> DataError,
        ) -> Checked<()> {
            let unsigned = self.leaf.unsigned;
            match reader {
                ColumnReader::BoolColumnReader(reader) => self.read(reader, f64::from, damaged),
                ColumnReader::FloatColumnReader(reader) => self.read(reader, f64::from, damaged),
                ColumnReader::DoubleColumnReader(reader) => {
                    self.read(reader, |value| value, damaged)
                }
                ColumnReader::Int32ColumnReader(reader) if unsigned => {
                    self.read(reader, |value| f64::from(value.cast_unsigned()), damaged)
                }
                ColumnReader::Int32ColumnReader(reader) => self.read(reader, f64::from, damaged),
                ColumnReader::Int64ColumnReader(reader) if unsigned => {
                    self.read(reader, |value| value.cast_unsigned() as f64, damaged)
                }
                ColumnReader::Int64ColumnReader(reader) => {
                    self.read(reader, |value| value as f64, damaged)
                }
                _ => Err(self.fault("holds no numbers and no flags")),
            }
        }

        fn read<T: DataType>(
            &mut self,
            mut reader: ColumnReaderImpl<T>,
            number: impl Fn(T::T) -> f64,
            damaged: impl Fn(parquet::errors::ParquetError) -> DataError,
        ) -> Checked<()> {
            let (mut defined, mut repeated, mut values) = (Vec::new(), Vec::new(), Vec::new());
            loop {
                defined.clear();
                repeated.clear();
                values.clear();
                let (records, count, levels) = reader
                    .read_records(BATCH, Some(&mut defined), Some(&mut repeated), &mut values)
                    .map_err(&damaged)?;
                if records == 0 {
                    return Ok(());
                }
                let width = self.leaf.width;
                if count != levels {
                    return Err(self.fault("has missing values (null)"));
                }
                // A list begins where the level is 0.
                let uneven = |(at, level): (usize, &i16)| (*level == 0) != at.is_multiple_of(width);
                if count != records * width || repeated.iter().enumerate().any(uneven) {
                    return Err(self.fault("holds lists of different lengths"));
                }
                for (at, value) in values.drain(..).enumerate() {
                    self.put(at / width, at % width, number(value));
                }
                self.filled.rows += records;
            }
        }

        fn put(&mut self, row: usize, entry: usize, value: f64) {
            let row = self.filled.rows + row;
            match self.place {
                Place::Array(array, first) => {
                    self.table.set(row, array, first + entry, value as f32)
                }
                _ => {
                    self.table
                        .starts
                        .push(row == 0 || value != self.filled.last);
                    self.filled.last = value;
                }
            }
        }

        fn fault(&self, reason: &str) -> DataError {
            self.faults
                .of(format!("column `{}` {reason}", self.leaf.name))
        }
    }
}
