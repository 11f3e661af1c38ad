//! The numbers of a figure as CSV (RFC 4180). Numbers are written so that they read back as the same `f64`.

/// Rows of text and numbers under a header.
pub(crate) struct Table {
    text: String,
}

/// One field of a row.
pub(crate) enum Field<'a> {
    Words(&'a str),
    Number(f64),
    Nothing,
}

impl Table {
    /// Returns a table with a header and no rows.
    pub(crate) fn new(header: &str) -> Self {
        Self {
            text: format!("{header}\n"),
        }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, fields: &[Field<'_>]) {
        let fields: Vec<String> = fields
            .iter()
            .map(|field| match field {
                Field::Words(words) => quoted(words),
                Field::Number(number) => format!("{number:?}"),
                Field::Nothing => String::new(),
            })
            .collect();
        self.text += &fields.join(",");
        self.text.push('\n');
    }

    /// Returns the file.
    pub(crate) fn finish(self) -> String {
        self.text
    }
}

fn quoted(words: &str) -> String {
    if words.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", words.replace('"', "\"\""))
    } else {
        words.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_with_commas_and_quotes_are_quoted() {
        let mut table = Table::new("label,value");
        table.row(&[Field::Words("best, \"16\""), Field::Number(1e300)]);
        table.row(&[Field::Words("gap"), Field::Number(f64::NAN)]);
        table.row(&[Field::Words("none"), Field::Nothing]);
        assert_eq!(
            table.finish(),
            "label,value\n\"best, \"\"16\"\"\",1e300\ngap,NaN\nnone,\n"
        );
    }
}
