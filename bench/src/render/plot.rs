//! The plot: speed of this SDK and of the Python SDK relative to the bare client.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::comparison::{Comparison, comparisons};
use crate::error::Result;
use crate::report::{Report, Series, ratio};

const WIDTH: u32 = 860;
const ROW: u32 = 30;
const DOT: i32 = 6;
/// Distance of a label from its dot, in pixels.
const LABEL_OFFSET: i32 = 10;
const OURS: RGBColor = RGBColor(0x1f, 0x6f, 0xb4);
const PYTHON: RGBColor = RGBColor(0xd9, 0x77, 0x06);

/// As SVG.
pub(super) fn of(report: &Report) -> Result<String> {
    let rows: Vec<Comparison<'_>> = comparisons(report)
        .filter(|comparison| comparison.raw.is_some())
        .collect();
    let mut svg = String::new();
    draw(&mut svg, &rows)?;
    svg.push('\n');
    Ok(svg)
}

fn draw(svg: &mut String, rows: &[Comparison<'_>]) -> Result<()> {
    let count = i32::try_from(rows.len())?;
    let last = count - 1;
    let height = ROW * u32::try_from(rows.len())? + 110;
    let root = SVGBackend::with_string(svg, (WIDTH, height)).into_drawing_area();
    root.fill(&WHITE)?;
    let (min, max) = range(rows);
    let mut chart = ChartBuilder::on(&root)
        .margin(16)
        .caption(
            "Speed, or inverse of the size, as a multiple of the bare client",
            ("sans-serif", 22),
        )
        .x_label_area_size(34)
        .y_label_area_size(250)
        .build_cartesian_2d((min..max).log_scale(), (0..last).into_segmented())?;
    // The first row is on top.
    let row_at = |index: i32| rows.get(usize::try_from(last - index).ok()?);
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(RGBColor(0xe2, 0xe2, 0xe2))
        .y_labels(rows.len())
        .y_label_formatter(&|position| match position {
            SegmentValue::CenterOf(index) => {
                row_at(*index).map_or_else(String::new, |comparison| comparison.row.to_owned())
            }
            _ => String::new(),
        })
        .x_label_formatter(&|times| times.to_string())
        .label_style(("sans-serif", 17))
        .draw()?;
    let bare = [SegmentValue::Exact(0), SegmentValue::Last].map(|end| (1.0, end));
    chart.draw_series([PathElement::new(bare, BLACK)])?;
    type Pick = for<'a, 'r> fn(&'a Comparison<'r>) -> Option<&'r Series>;
    // The Python SDK is slower in most rows: its label is on the left.
    let sides: [(&str, RGBColor, HPos, Pick); 2] = [
        ("Python SDK", PYTHON, HPos::Right, |comparison| {
            comparison.python
        }),
        ("this SDK", OURS, HPos::Left, |comparison| {
            Some(comparison.ours)
        }),
    ];
    for (name, color, anchor, pick) in sides {
        let dots = (0..count).filter_map(|index| {
            let comparison = row_at(index)?;
            let times = comparison.to_raw(pick(comparison)?)?;
            Some((times, SegmentValue::CenterOf(index)))
        });
        let offset = match anchor {
            HPos::Right => -LABEL_OFFSET,
            _ => LABEL_OFFSET,
        };
        let style = TextStyle::from(("sans-serif", 15)).pos(Pos::new(anchor, VPos::Center));
        let drawn = dots.map(|(times, place)| {
            let label = Text::new(ratio(times), (offset, 0), style.clone());
            EmptyElement::at((times, place)) + Circle::new((0, 0), DOT, color.filled()) + label
        });
        chart
            .draw_series(drawn)?
            .label(name)
            .legend(move |(x, y)| Circle::new((x + 10, y), DOT, color.filled()));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE)
        .border_style(RGBColor(0xc0, 0xc0, 0xc0))
        .label_font(("sans-serif", 17))
        .draw()?;
    root.present()?;
    Ok(())
}

/// The powers of ten that enclose all values.
fn range(rows: &[Comparison<'_>]) -> (f64, f64) {
    let values = rows.iter().flat_map(|comparison| {
        let all = [Some(comparison.ours), comparison.python];
        all.into_iter()
            .flatten()
            .filter_map(|series| comparison.to_raw(series))
    });
    let (min, max) = values.fold((0.5_f64, 2.0_f64), |(min, max), times| {
        (min.min(times), max.max(times))
    });
    (
        10.0_f64.powf(min.log10().floor()),
        10.0_f64.powf(max.log10().ceil()),
    )
}
