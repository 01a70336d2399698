//! The book's page.

use crate::report::{Report, targets, values};

pub(super) fn of(report: &Report) -> String {
    let verdicts = report.verdicts();
    let met = verdicts.iter().filter(|verdict| verdict.is_met).count();
    let older: Vec<String> = report
        .older()
        .map(|series| format!("'{}' of {}", series.row, series.date))
        .collect();
    let older = match &older[..] {
        [] => String::new(),
        older => format!("\nNot measured with the others: {}.\n", older.join(", ")),
    };
    format!(
        "# Performance\n\n\
         What `cargo xtask bench` has seen on {setting}. This page is rendered from \
         [its results](https://github.com/openagentmesh/openagentmesh-rs/blob/main/bench/results.json); \
         [its README](https://github.com/openagentmesh/openagentmesh-rs/blob/main/bench/README.md) says \
         what each case does.\n\n\
         ![Speed next to the bare client](performance.svg)\n\n\
         ## Targets\n\n\
         {met} of {all} are met. Ratios are medians of those of each round, in which all take turns.\n\n\
         {targets}\n\n\
         ## Figures\n\n\
         The last columns have the medians of the rounds' ratios: below 1 is faster for a duration, slower for a rate.\n\n\
         {values}\n{older}",
        setting = report.setting(),
        all = verdicts.len(),
        targets = targets(report),
        values = values(report),
    )
}
