//! The page of the book.

use std::collections::BTreeMap;

use crate::report::{Report, targets, values};

pub(super) fn of(report: &Report) -> String {
    let verdicts = report.verdicts();
    let met = verdicts.iter().filter(|verdict| verdict.is_met).count();
    let mut older: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for series in report.older() {
        let rows = older.entry(&series.date).or_default();
        let row = format!("'{}'", series.row);
        if !rows.contains(&row) {
            rows.push(row);
        }
    }
    let older: String = older
        .into_iter()
        .map(|(date, rows)| format!("\nFrom a run of {date}: {}.\n", rows.join(", ")))
        .collect();
    format!(
        "# Performance\n\n\
         Results of `cargo xtask bench` on {setting}. This page is rendered from \
         [results.json](https://github.com/openagentmesh/openagentmesh-rs/blob/main/bench/results.json); \
         [the bench's README](https://github.com/openagentmesh/openagentmesh-rs/blob/main/bench/README.md) \
         describes each case.\n\n\
         ![Speed next to the bare client](performance.svg)\n\n\
         ## Targets\n\n\
         {met} of {all} are met. A ratio is the median of the ratios of all rounds; each round measures all contenders.\n\n\
         {targets}\n\n\
         ## Figures\n\n\
         The last columns are medians of the rounds' ratios. For a duration, below 1 is faster; for a rate, above 1 is faster.\n\n\
         {values}\n{older}",
        setting = report.setting(),
        all = verdicts.len(),
        targets = targets(report),
        values = values(report),
    )
}
