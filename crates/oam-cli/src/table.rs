//! A table without borders that fits the terminal, one line for each row.

use std::borrow::Cow;

use openagentmesh::protocol::name::is_visible;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::text;

/// The space between two columns.
const GAP: usize = 2;

/// A column is not shortened below this width.
const MIN_SHORTENED: usize = 10;

/// Replaces the rest of a shortened text.
const ELLIPSIS: char = '…';

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    header: &'static str,
    /// A narrow terminal leaves out the columns with the highest numbers.
    rank: usize,
    is_shortened: bool,
}

impl Column {
    /// The column that identifies the row. It is never left out, and shortened if the terminal needs it.
    pub(crate) const fn key(header: &'static str) -> Self {
        Self {
            header,
            rank: 0,
            is_shortened: true,
        }
    }

    /// A column that is printed whole or not at all. Columns of a higher `rank` are left out first.
    pub(crate) const fn whole(header: &'static str, rank: usize) -> Self {
        Self {
            header,
            rank,
            is_shortened: false,
        }
    }

    /// A column whose texts may be shortened. Columns of a higher `rank` are left out first.
    pub(crate) const fn text(header: &'static str, rank: usize) -> Self {
        Self {
            header,
            rank,
            is_shortened: true,
        }
    }

    fn min_width(&self, natural: usize) -> usize {
        match self.is_shortened {
            true => natural.min(MIN_SHORTENED.max(self.header.width())),
            false => natural,
        }
    }
}

/// A table that was laid out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) header: String,
    pub(crate) rows: Vec<String>,
    /// The headers of the columns that were left out.
    pub(crate) left_out: Vec<&'static str>,
}

/// Lays out the rows within `width` terminal columns; without a limit, all texts are whole.
pub(crate) fn lay_out<'r, const COLUMNS: usize>(
    columns: [Column; COLUMNS],
    rows: impl IntoIterator<Item = [impl Into<Cow<'r, str>>; COLUMNS]>,
    width: Option<usize>,
) -> Layout {
    let rows: Vec<[Cow<'r, str>; COLUMNS]> = rows
        .into_iter()
        .map(|row| row.map(|text| on_one_line(text.into())))
        .collect();
    let mut natural = columns.map(|column| column.header.width());
    for row in &rows {
        for (width, text) in natural.iter_mut().zip(row) {
            *width = columns_of(text).max(*width);
        }
    }
    let widths = match width {
        Some(width) => fit(&columns, natural, width),
        None => natural.map(Some),
    };
    let line = |texts: [&str; COLUMNS]| {
        let mut line = String::new();
        for (text, width) in texts.into_iter().zip(widths) {
            let Some(width) = width else { continue };
            let text = shortened(text, width);
            line.push_str(&text);
            let padding = width.saturating_sub(columns_of(&text)) + GAP;
            line.extend(std::iter::repeat_n(' ', padding));
        }
        line.truncate(line.trim_end().len());
        line
    };
    Layout {
        header: line(columns.map(|column| column.header)),
        rows: rows
            .iter()
            .map(|row| line(row.each_ref().map(|text| &**text)))
            .collect(),
        left_out: columns
            .iter()
            .zip(widths)
            .filter_map(|(column, width)| width.is_none().then_some(column.header))
            .collect(),
    }
}

fn on_one_line(text: Cow<'_, str>) -> Cow<'_, str> {
    match text.chars().all(is_visible) {
        true => text,
        false => text::on_one_line(&text).into(),
    }
}

/// The widths of the columns within `width`; `None` for a column that is left out.
fn fit<const COLUMNS: usize>(
    columns: &[Column; COLUMNS],
    natural: [usize; COLUMNS],
    width: usize,
) -> [Option<usize>; COLUMNS] {
    let mut by_rank: [usize; COLUMNS] = std::array::from_fn(|index| index);
    by_rank.sort_by_key(|&index| columns[index].rank);
    let mut widths = [None; COLUMNS];
    let mut left = width + GAP;
    for &index in &by_rank {
        let min = columns[index].min_width(natural[index]);
        // The key column is printed on any terminal.
        if min + GAP <= left || columns[index].rank == 0 {
            widths[index] = Some(min);
            left = left.saturating_sub(min + GAP);
        }
    }
    for &index in &by_rank {
        if let Some(width) = &mut widths[index] {
            let more = (natural[index] - *width).min(left);
            *width += more;
            left -= more;
        }
    }
    widths
}

/// The text within `width` terminal columns.
fn shortened(text: &str, width: usize) -> Cow<'_, str> {
    if columns_of(text) <= width {
        return text.into();
    }
    // The width of a character depends on those that modify it: a heart is wider as an emoji.
    let (mut taken, mut cluster) = (0, 0..0);
    for (index, character) in text.char_indices() {
        if character.width() != Some(0) {
            taken += text[cluster].width();
            cluster = index..index;
        }
        cluster.end = index + character.len_utf8();
        if taken + text[cluster.clone()].width() >= width {
            break;
        }
    }
    let mut short = text[..cluster.start].to_owned();
    short.push(ELLIPSIS);
    short.into()
}

/// The number of terminal columns of a visible text.
fn columns_of(text: &str) -> usize {
    // Most texts are ASCII, and the width of others takes many times as long.
    match text.is_ascii() {
        true => text.len(),
        false => text.width(),
    }
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr;

    use super::{Column, Layout, lay_out};

    const COLUMNS: [Column; 4] = [
        Column::key("NAME"),
        Column::whole("USE", 1),
        Column::text("TAGS", 3),
        Column::text("DESCRIPTION", 2),
    ];

    fn layout(rows: &[[&str; 4]], width: Option<usize>) -> Layout {
        let rows = rows.iter().map(|row| row.map(str::to_owned));
        lay_out(COLUMNS, rows, width)
    }

    const ROWS: [[&str; 4]; 2] = [
        [
            "shop.price",
            "call",
            "shop, price",
            "The price of an article in the shop",
        ],
        [
            "数.計算",
            "stream",
            "",
            "数を数えるエージェント、一つずつ出力する",
        ],
    ];

    #[test]
    fn table_without_a_limit_is_whole() {
        let layout = layout(&ROWS, None);
        assert_eq!(
            layout.header,
            "NAME        USE     TAGS         DESCRIPTION"
        );
        assert_eq!(
            layout.rows,
            [
                "shop.price  call    shop, price  The price of an article in the shop",
                "数.計算     stream               数を数えるエージェント、一つずつ出力する",
            ]
        );
        assert!(layout.left_out.is_empty());
    }

    #[test]
    fn narrow_table_leaves_out_the_columns_of_the_highest_rank_and_shortens_texts() {
        let layout = layout(&ROWS, Some(40));
        assert_eq!(
            layout.rows,
            [
                "shop.price  call    The price of an art…",
                "数.計算     stream  数を数えるエージェ…",
            ]
        );
        assert_eq!(layout.left_out, ["TAGS"]);
    }

    #[test]
    fn every_line_fits_each_width_from_twenty_columns() {
        let long = "n".repeat(300);
        let rows = [
            ROWS[0],
            ROWS[1],
            [&long, "subscribe", &long, "a\nb\u{1b}[31m"],
            ["hearts", "call", "🇸🇪👍🏽", &"❤\u{fe0f}".repeat(100)],
        ];
        for width in 20..200 {
            let layout = layout(&rows, Some(width));
            for line in layout.rows.iter().chain([&layout.header]) {
                assert!(line.width() <= width, "{width}: {line}");
                assert!(!line.contains(['\n', '\u{1b}']), "{line}");
            }
        }
    }

    #[test]
    fn table_that_fits_is_not_changed() {
        assert_eq!(layout(&ROWS, Some(200)), layout(&ROWS, None));
    }
}
