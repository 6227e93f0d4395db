//! Markdown tables whose columns also line up where nobody renders them.

use std::fmt::{self, Display};

/// Rows of text below a head; the first column is text, the others are figures.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table that has yet no rows.
    pub(super) fn new<T: Into<String>>(head: impl IntoIterator<Item = T>) -> Self {
        Self { head: head.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    /// Adds a row. What is missing of it stays empty.
    pub(super) fn row<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        let mut row: Vec<String> = cells.into_iter().map(Into::into).collect();
        row.resize(self.head.len(), String::new());
        self.rows.push(row);
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().chain([&self.head]).map(|row| row[column].chars().count());
        // Markdown wants three dashes.
        cells.max().unwrap_or(0).max(3)
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths: Vec<usize> = (0..self.head.len()).map(|column| self.width(column)).collect();
        let line = |f: &mut fmt::Formatter<'_>, row: &[String]| {
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                match column {
                    0 => write!(f, "| {cell:<width$} ")?,
                    _ => write!(f, "| {cell:>width$} ")?,
                }
            }
            f.write_str("|\n")
        };
        line(f, &self.head)?;
        for (column, width) in widths.iter().enumerate() {
            match column {
                0 => write!(f, "| {:-<width$} ", "")?,
                _ => write!(f, "| {:->1$}: ", "", width - 1)?,
            }
        }
        f.write_str("|\n")?;
        self.rows.iter().try_for_each(|row| line(f, row))
    }
}

/// Puts what somebody else named into a cell.
pub(super) fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}

/// A number with as many digits as one wants to read: three that count, never more than two behind the point.
pub fn number(value: f64) -> String {
    match value.abs() {
        size if !size.is_finite() => "–".to_owned(),
        ..9.995 => format!("{value:.2}"),
        ..99.95 => format!("{value:.1}"),
        size => {
            let sign = if value < 0.0 { "-" } else { "" };
            format!("{sign}{}", grouped(size.round() as u64))
        }
    }
}

/// A whole number with a comma before every third digit.
pub fn grouped(number: u64) -> String {
    match number {
        0..1_000 => number.to_string(),
        _ => format!("{},{:03}", grouped(number / 1_000), number % 1_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_lines_up_and_a_short_row_is_filled() {
        let mut table = Table::new(["case", "mio"]);
        table.row(["1 × 64", "1.04 (1.00–1.10)"]);
        table.row(["all"]);
        let expected = "\
| case   |              mio |
| ------ | ---------------: |
| 1 × 64 | 1.04 (1.00–1.10) |
| all    |                  |
";
        assert_eq!(table.to_string(), expected);
    }

    #[test]
    fn a_name_cannot_break_the_table() {
        assert_eq!(cell("a|b\nc"), "a\\|b c");
    }

    #[test]
    fn thousands_are_set_apart() {
        let shown = [0, 999, 1_000, 1_002_003].map(grouped);
        assert_eq!(shown, ["0", "999", "1,000", "1,002,003"]);
    }

    #[test]
    fn numbers_have_the_digits_that_one_wants_to_read() {
        let shown = [
            0.0,
            1.0449,
            9.994,
            9.996,
            24.96,
            99.94,
            99.96,
            1234.4,
            1_234_567.0,
            -4321.0,
            f64::NAN,
        ];
        let expected = [
            "0.00",
            "1.04",
            "9.99",
            "10.0",
            "25.0",
            "99.9",
            "100",
            "1,234",
            "1,234,567",
            "-4,321",
            "–",
        ];
        assert_eq!(shown.map(number), expected);
    }
}
