//! The results of a run, as JSON and as tables.

mod results;
mod series;
mod table;
mod verdict;

pub(crate) use results::Report;
pub(crate) use series::Series;
pub(crate) use table::{ablation, markdown, targets, values};
pub(crate) use verdict::ratio;
