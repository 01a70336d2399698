//! The measurements: for each case its work, its contenders, its rows and their targets.
//!
//! A new case is an entry in one of the lists below. A new kind of work also needs a [`Work`], which
//! `run` performs.

mod agents;
mod calls;
mod case;
mod programs;
mod python;
mod state;
mod streams;

pub(crate) use case::{Case, Command, Effort, Row, Target, Work};

/// All cases, in the order of the table.
pub(crate) fn all() -> impl Iterator<Item = &'static Case> {
    let lists = [
        calls::CASES,
        streams::CASES,
        state::CASES,
        agents::CASES,
        programs::CASES,
        python::CASES,
    ];
    lists.into_iter().flatten()
}

/// All rows, in the order of the table.
pub(crate) fn rows() -> impl Iterator<Item = &'static Row> {
    all().flat_map(|case| case.rows)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn row_names_are_unique() {
        let mut names = HashSet::new();
        for row in rows() {
            assert!(names.insert(row.name), "{}", row.name);
        }
    }

    #[test]
    fn target_compares_to_a_contender_of_its_case() {
        for case in all() {
            let targets = case
                .rows
                .iter()
                .flat_map(|row| row.targets.iter().copied().chain(row.python_target));
            for target in targets {
                let (Target::AtMost(_, contender)
                | Target::AtLeast(_, contender)
                | Target::AsFast(_, contender)) = target
                else {
                    continue;
                };
                assert!(case.contenders.contains(&contender), "{}", case.name);
            }
        }
    }

    #[test]
    fn target_compares_to_a_row_of_the_same_unit() {
        for row in rows() {
            for target in row.targets {
                if let Target::AtLeastOfRow(_, other) | Target::AtMostOfRow(_, other) = target {
                    let other = rows().find(|row| row.name == *other);
                    assert_eq!(
                        other.map(|other| other.unit),
                        Some(row.unit),
                        "{}",
                        row.name
                    );
                }
            }
        }
    }
}
